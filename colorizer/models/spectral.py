"""Convolutions whose kernel has spectral norm 1."""

from typing import Any

import keras
from keras import initializers, layers, ops

Tensor = Any

_TINY = 1e-12


@keras.saving.register_keras_serializable(package="colorizer")
class SpectralConv2D(layers.Conv2D):
    """A 2D convolution with the kernel W / sigma(W) (spectral normalization, Miyato et al. 2018).

    sigma is the largest singular value of W as a matrix (kh kw C_in, C_out), estimated by power
    iteration from a vector u that is kept: each call with `training=True` takes
    `power_iterations` steps, in float32 whatever the precision policy; other calls use u as it
    is. Gradients flow through W / sigma with the singular vectors held constant, as in the paper.

    `keras.layers.SpectralNormalization` (Keras 3.15) does not serve: it writes W / sigma back over
    W, so that the gradient is that of a free kernel (not orthogonal to W, as it must be where the
    scale of W has no effect), and in mixed precision it writes W back rounded to 16 bits, which
    loses what the optimizer has just added.

    Args:
        filters: as in `keras.layers.Conv2D`.
        kernel_size: as there.
        power_iterations: steps in each training call, at least 1.
        **kwargs: those of `keras.layers.Conv2D`.

    Raises:
        ValueError: `power_iterations` is not positive.
    """

    def __init__(
        self, filters: int, kernel_size: Any, *, power_iterations: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        if power_iterations < 1:
            raise ValueError(f"power_iterations must be positive, not {power_iterations}")
        self.power_iterations = power_iterations

    def build(self, input_shape: Any) -> None:
        """Makes kernel, bias and the vector u of the power iteration."""
        super().build(input_shape)
        self.left_vector = self.add_weight(
            shape=(self.filters,),
            initializer=initializers.RandomNormal(),
            trainable=False,
            # Every replica holds the same W and u, and so finds the same new u.
            aggregation="only_first_replica",
            name="left_vector",
        )
        self.built = True

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a weight that mixed precision does not round when the layer reads it."""
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Convolves with the normalized kernel."""
        kernel = ops.cast(self.normalized_kernel(training), self.compute_dtype)
        outputs = self.convolution_op(inputs, kernel)
        if self.use_bias:
            outputs += ops.cast(ops.reshape(self.bias, self._bias_shape()), self.compute_dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def normalized_kernel(self, training: bool = False) -> Tensor:
        """Gives W / sigma in float32; while training, u moves on first."""
        kernel = ops.cast(self.kernel, "float32")
        matrix = ops.reshape(kernel, (-1, self.filters))
        constant = ops.stop_gradient(matrix)
        left = ops.cast(self.left_vector, "float32")
        right = _unit(ops.matmul(constant, left))
        if training:
            for _ in range(self.power_iterations):
                left = _unit(ops.matmul(right, constant))
                right = _unit(ops.matmul(constant, left))
            self.left_vector.assign(left)
        else:
            left = _unit(left)
        sigma = ops.sum(right * ops.matmul(matrix, left))
        return kernel / ops.maximum(sigma, _TINY)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the layer."""
        return {**super().get_config(), "power_iterations": self.power_iterations}

    def save_own_variables(self, store: Any) -> None:
        """Saves u as well, which a convolution of Keras does not know of."""
        super().save_own_variables(store)
        if self.built:
            store["left_vector"] = self.left_vector

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved."""
        super().load_own_variables(store)
        if self.built:
            self.left_vector.assign(store["left_vector"])

    def _bias_shape(self) -> tuple[int, ...]:
        first = self.data_format == "channels_first"
        return (1, self.filters, 1, 1) if first else (1, 1, 1, self.filters)


def _unit(vector: Tensor) -> Tensor:
    return vector / ops.maximum(ops.norm(vector), _TINY)
