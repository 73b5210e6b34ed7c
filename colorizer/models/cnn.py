"""The report's first model: an encoder-decoder CNN that reads L and predicts ab."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import layers

Tensor = Any

LEAKY_SLOPE = 0.2


def build_cnn(
    image_size: int = 256,
    *,
    encoder_filters: Sequence[int] = (32, 64, 128, 256, 512),
    encoder_strides: Sequence[int] = (2, 2, 1, 2, 1),
    decoder_filters: Sequence[int] = (256, 16),
    output_filters: Sequence[int] = (16, 8),
    kernel_size: int = 3,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds the report's CNN as a functional model.

    Encoder: 5 convolutions, batch normalization after all but the first, max-pooling after the
    second and the fourth, Leaky ReLU between. Decoder: 2 convolutions, an upsampling before each,
    batch normalization after the first. Its output is resized to the size of L and concatenated
    with L; then convolution, batch normalization, Leaky ReLU; then 2 convolutions with Leaky ReLU
    after the first and tanh after the last.

    The report gives neither filter counts nor strides (they were in figures that are lost). It
    resizes the decoder's output to the size of L, which two poolings undone by two upsamplings
    would not need: so its encoder shrinks further, and ours does by strides. The defaults were
    chosen for speed on a CPU, where layers at full resolution cost most: few filters there, many
    at the bottleneck, 1/32 of the image's side, where a unit sees most of the picture.

    Args:
        image_size: side of the square input and output, at least 32.
        encoder_filters: filters of the 5 encoder convolutions.
        encoder_strides: their strides.
        decoder_filters: filters of the 2 decoder convolutions.
        output_filters: filters of the 2 hidden convolutions after the concatenation.
        kernel_size: side of all kernels.
        norm_momentum: how slowly batch normalization's moving statistics follow; a run of few
            steps needs a smaller one than Keras's default.

    Returns:
        Model from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2), float32, each in [-1, 1].

    Raises:
        ValueError: a sequence has the wrong length, or `image_size` is under 32.
    """
    _check_lengths(encoder_filters, encoder_strides, decoder_filters, output_filters)
    if image_size < 32:
        raise ValueError(f"image_size must be at least 32, not {image_size}")
    lightness = keras.Input((image_size, image_size, 1), name="lightness")
    block = partial(_convolution, kernel_size=kernel_size, norm_momentum=norm_momentum)
    x: Tensor = lightness
    for number, (filters, strides) in enumerate(
        zip(encoder_filters, encoder_strides, strict=True), start=1
    ):
        x = block(x, filters, f"encoder_{number}", strides=strides, normalized=number > 1)
        if number in (2, 4):
            x = layers.MaxPooling2D(padding="same", name=f"encoder_{number}_pool")(x)
    for number, filters in enumerate(decoder_filters, start=1):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"decoder_{number}_up")(x)
        x = block(x, filters, f"decoder_{number}", normalized=number == 1)
    x = layers.Resizing(image_size, image_size, name="resized")(x)
    x = layers.Concatenate(name="with_lightness")([x, lightness])
    x = block(x, output_filters[0], "output_1")
    x = block(x, output_filters[1], "output_2", normalized=False)
    x = layers.Conv2D(2, kernel_size, padding="same", name="output_3")(x)
    # tanh in float32 whatever the precision policy: the loss must not see rounded colours.
    ab = layers.Activation("tanh", dtype="float32", name="ab")(x)
    return keras.Model(lightness, ab, name="cnn")


def _convolution(
    x: Tensor,
    filters: int,
    name: str,
    *,
    kernel_size: int,
    norm_momentum: float,
    strides: int = 1,
    normalized: bool = True,
) -> Tensor:
    x = layers.Conv2D(filters, kernel_size, strides=strides, padding="same", name=name)(x)
    if normalized:
        x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_norm")(x)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x)


def _check_lengths(
    encoder: Sequence[int], strides: Sequence[int], decoder: Sequence[int], output: Sequence[int]
) -> None:
    for name, values, length in (
        ("encoder_filters", encoder, 5),
        ("encoder_strides", strides, 5),
        ("decoder_filters", decoder, 2),
        ("output_filters", output, 2),
    ):
        if len(values) != length:
            raise ValueError(f"{name} must have {length} entries, not {len(values)}")
