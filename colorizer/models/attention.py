"""Self-attention over the places of a picture."""

from typing import Any

import keras
from keras import layers, ops

from colorizer.models.spectral import SpectralConv2D

Tensor = Any


@keras.saving.register_keras_serializable(package="colorizer")
class SelfAttention2D(layers.Layer):
    """Lets every place of a picture look at all others (SAGAN, Zhang et al. 2019).

    y = x + gamma v(sum_j softmax_j(f(x)_j . g(x)_i) h(x)_j), where f, g, h and v are 1x1
    convolutions and gamma starts at 0: an untrained layer is the identity. f, g and h have
    C / `reduction` filters. Memory grows with (H W)^2, so it belongs where the picture is small.
    The softmax runs in float32 whatever the precision policy.

    Input and output: (N, H, W, C).

    Args:
        reduction: how many times fewer filters than C the attention works in.
        spectral_normalization: bound the convolutions (`SpectralConv2D`), as SAGAN does.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: `reduction` is not positive, or (when built) C is smaller than `reduction`.
    """

    def __init__(
        self, reduction: int = 8, *, spectral_normalization: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"reduction must be positive, not {reduction}")
        self.reduction = reduction
        self.spectral_normalization = spectral_normalization

    def build(self, input_shape: Any) -> None:
        """Makes the four convolutions and gamma for C channels."""
        channels = input_shape[-1]
        if channels < self.reduction:
            raise ValueError(f"{channels} channels cannot be reduced {self.reduction} times")
        narrow = channels // self.reduction
        self.key = self._projection(narrow, "key", input_shape)
        self.query = self._projection(narrow, "query", input_shape)
        self.content = self._projection(narrow, "content", input_shape)
        self.widening = self._projection(channels, "widening", (*input_shape[:-1], narrow))
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Gives the picture with what each place has seen elsewhere added."""
        batch, height, width, _ = ops.shape(inputs)
        places = height * width

        def seen_by(convolution: layers.Layer) -> Tensor:
            seen = convolution(inputs, training=training)
            return ops.reshape(seen, (batch, places, convolution.filters))

        query, key, content = map(seen_by, (self.query, self.key, self.content))
        scores = ops.matmul(
            ops.cast(query, "float32"), ops.transpose(ops.cast(key, "float32"), (0, 2, 1))
        )
        weights = ops.cast(ops.softmax(scores), content.dtype)
        # Channels of a number known to the graph: else Keras convolves by XLA, which LiteRT lacks.
        narrow = self.content.filters
        attended = ops.reshape(ops.matmul(weights, content), (batch, height, width, narrow))
        return inputs + self.gamma * self.widening(attended, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "spectral_normalization": self.spectral_normalization,
        }

    def _projection(self, filters: int, name: str, input_shape: Any) -> layers.Layer:
        kind = SpectralConv2D if self.spectral_normalization else layers.Conv2D
        convolution = kind(filters, 1, use_bias=False, dtype=self.dtype_policy, name=name)
        convolution.build(input_shape)
        return convolution
