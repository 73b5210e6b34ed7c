"""The optimizer of supervised training."""

import keras


def build_optimizer(
    *,
    learning_rate: float,
    schedule: str,
    warmup_steps: int,
    total_steps: int,
    weight_decay: float,
) -> keras.optimizers.Optimizer:
    """Builds AdamW (Loshchilov and Hutter 2019) with a warm-up and a cosine or constant rate.

    Args:
        learning_rate: peak of the schedule.
        schedule: "cosine" (to zero at `total_steps`) or "constant".
        warmup_steps: linear rise from a tenth of the peak; at most a tenth of `total_steps`.
        total_steps: all steps of the run.
        weight_decay: decoupled; not applied to biases and batch normalization.

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
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
