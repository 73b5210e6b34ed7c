"""The optimizers of training, and their learning rates."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


def build_optimizer(
    *,
    learning_rate: float,
    schedule: str,
    warmup_steps: int,
    total_steps: int,
    weight_decay: float,
    beta_1: float = 0.9,
    accumulation: int = 1,
    pace: keras.Variable | None = None,
    factors: Sequence[float] | None = None,
) -> keras.optimizers.Optimizer:
    """Builds AdamW (Loshchilov and Hutter 2019) with a warm-up and a cosine or constant rate.

    Args:
        learning_rate: peak of the schedule.
        schedule: "cosine" (to zero at `total_steps`) or "constant".
        warmup_steps: linear rise from a tenth of the peak; at most a tenth of `total_steps`.
        total_steps: all updates of the run.
        weight_decay: decoupled; not applied to biases and normalization.
        beta_1: momentum of the first moment.
        accumulation: calls whose gradients are averaged into one update.
        pace: a factor on the rate that may change while it trains.
        factors: see `LayerwiseAdamW`.

    Raises:
        ValueError: `schedule` is neither "cosine" nor "constant".
    """
    if schedule not in ("cosine", "constant"):
        raise ValueError(f"schedule must be cosine or constant, not {schedule!r}")
    warmup = min(warmup_steps, total_steps // 10)
    rate: float | keras.optimizers.schedules.LearningRateSchedule = learning_rate
    if warmup or schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=learning_rate / 10 if warmup else learning_rate,
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
            decay_steps=max(1, total_steps - warmup),
            alpha=0.0 if schedule == "cosine" else 1.0,
        )
    optimizer = LayerwiseAdamW(
        rate if pace is None else PacedRate(rate, pace),
        factors=factors,
        weight_decay=weight_decay,
        beta_1=beta_1,
        gradient_accumulation_steps=accumulation if accumulation > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW whose rate differs from variable to variable (Howard and Ruder 2018, ULMFiT).

    On one device a variable is updated by TensorFlow's own operation for Adam, which does in one
    pass what Keras's dozen operations do: half the time.

    Args:
        *args: those of `keras.optimizers.AdamW`.
        factors: for each variable, in the order in which it is built for them, a factor on its
            learning rate; 0 leaves it as it is but for weight decay. Left out: 1 for all.
        **kwargs: those of `keras.optimizers.AdamW`.
    """

    def __init__(self, *args: Any, factors: Sequence[float] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.factors = None if factors is None else list(factors)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one variable."""
        if self.factors is not None:
            learning_rate = learning_rate * self.factors[self._get_variable_index(variable)]
        if self.amsgrad or tf.distribute.has_strategy():
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = keras.ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the optimizer."""
        return {**super().get_config(), "factors": self.factors}


def _handle(variable: Any) -> Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


class PacedRate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate times a factor that may change while the training runs.

    Args:
        rate: a number or a schedule.
        pace: the factor, a scalar variable.
    """

    def __init__(
        self, rate: float | keras.optimizers.schedules.LearningRateSchedule, pace: keras.Variable
    ) -> None:
        self.rate = rate
        self.pace = pace

    def __call__(self, step: Tensor) -> Tensor:
        """Gives the rate at `step`, a float32 scalar."""
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * keras.ops.cast(self.pace, "float32")

    def get_config(self) -> dict[str, Any]:
        """Gives the rate and the factor of the moment."""
        rate = (
            self.rate
            if isinstance(self.rate, float)
            else keras.saving.serialize_keras_object(self.rate)
        )
        return {"rate": rate, "pace": float(keras.ops.convert_to_numpy(self.pace))}


class ReplicaLossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Dynamic loss scaling (Micikevicius et al. 2018) that all replicas agree on.

    Keras 3.15 decides whether to skip a step by the gradients of the first replica, before the
    replicas' gradients are added: an overflow on another one would spoil the weights of all. Here
    an overflow anywhere is one everywhere.
    """

    def apply(self, grads: list[Tensor], trainable_variables: Any = None) -> None:
        """Updates the variables, or skips the step and halves the scale."""
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            overflows = 1.0 - tf.cast(self.check_finite(grads), tf.float32)
            anywhere = context.all_reduce(tf.distribute.ReduceOp.SUM, overflows) > 0
            spoil = tf.where(anywhere, float("nan"), 0.0)
            grads = [grad if grad is None else grad + tf.cast(spoil, grad.dtype) for grad in grads]
        super().apply(grads, trainable_variables)


def loss_scaled(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """Wraps the optimizer in dynamic loss scaling where `precision` is mixed_float16."""
    return ReplicaLossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer
