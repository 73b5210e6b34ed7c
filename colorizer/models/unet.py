"""A U-Net that reads L and predicts ab: the generator of conditional adversarial training."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import layers

from colorizer.models.attention import SelfAttention2D

Tensor = Any

LEAKY_SLOPE = 0.2


def build_unet(
    image_size: int = 256,
    *,
    pool: int = 2,
    filters: Sequence[int] = (32, 64, 128, 256, 512),
    blocks: Sequence[int] = (0, 0, 1, 1, 1),
    decoder_filters: Sequence[int] = (192, 96, 48, 32),
    attention: bool = False,
    kernel_size: int = 3,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds a U-Net (Ronneberger et al. 2015; Isola et al. 2017 for image-to-image translation).

    Encoder: at each level a convolution of stride 2 and then residual blocks (two convolutions, He
    et al. 2016). Decoder: at each level an upsampling, the encoder's activations of that size
    concatenated, a convolution. Batch normalization and Leaky ReLU throughout. ab is predicted at
    the last decoder level's size and enlarged bilinearly; L keeps its full size. By default that
    is a quarter of the picture's side, which bounds PSNR at 43 dB (mean of our validation photos),
    far above what any colorizer reaches, and the encoder sees half the side: the time goes where
    it pays, into many filters at low resolution and more photos an hour.

    Args:
        image_size: side of the square input and output, a multiple of
            pool * 2 ** len(filters).
        pool: the network sees the picture smaller by this factor (mean pooling).
        filters: filters of the encoder's levels.
        blocks: residual blocks of the encoder's levels.
        decoder_filters: filters of the decoder's levels, at most as many as the encoder's.
        attention: whether self-attention (Zhang et al. 2019) stands after the first decoder level.
        kernel_size: side of all kernels.
        norm_momentum: how slowly batch normalization's moving statistics follow.

    Returns:
        Model from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2), float32, each in [-1, 1].

    Raises:
        ValueError: lengths do not fit, or `image_size` is no such multiple.
    """
    _check(image_size, pool, filters, blocks, decoder_filters)
    block = partial(_convolution, kernel_size=kernel_size, norm_momentum=norm_momentum)
    lightness = keras.Input((image_size, image_size, 1), name="lightness")
    x: Tensor = layers.AveragePooling2D(pool, name="pooled")(lightness) if pool > 1 else lightness
    skips = [x]
    for level, (width, count) in enumerate(zip(filters, blocks, strict=True), start=1):
        x = block(x, width, f"down_{level}", strides=2)
        for number in range(1, count + 1):
            x = _residual(x, width, f"down_{level}_block_{number}", block)
        skips.append(x)
    skips.pop()
    for level, width in enumerate(decoder_filters, start=1):
        x = layers.UpSampling2D(name=f"up_{level}_nearest")(x)
        x = layers.Concatenate(name=f"up_{level}_with_skip")([x, skips.pop()])
        x = block(x, width, f"up_{level}")
        if attention and level == 1:
            x = SelfAttention2D(name="attention")(x)
    x = layers.Conv2D(2, kernel_size, padding="same", name="ab_small")(x)
    # tanh in float32 whatever the precision policy: the loss must not see rounded colours.
    x = layers.Activation("tanh", dtype="float32", name="ab_small_tanh")(x)
    shrunk = pool * 2 ** (len(filters) - len(decoder_filters))
    ab = layers.UpSampling2D(shrunk, interpolation="bilinear", dtype="float32", name="ab")(x)
    return keras.Model(lightness, ab, name="unet")


def _convolution(
    x: Tensor,
    filters: int,
    name: str,
    *,
    kernel_size: int,
    norm_momentum: float,
    strides: int = 1,
    activated: bool = True,
) -> Tensor:
    x = layers.Conv2D(
        filters, kernel_size, strides=strides, padding="same", use_bias=False, name=name
    )(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_norm")(x)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x) if activated else x


def _residual(x: Tensor, filters: int, name: str, block: Any) -> Tensor:
    inner = block(x, filters, f"{name}_1")
    inner = block(inner, filters, f"{name}_2", activated=False)
    x = layers.Add(name=f"{name}_sum")([x, inner])
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x)


def _check(
    image_size: int,
    pool: int,
    filters: Sequence[int],
    blocks: Sequence[int],
    decoder: Sequence[int],
) -> None:
    if len(blocks) != len(filters):
        raise ValueError(f"blocks must have {len(filters)} entries as filters, not {len(blocks)}")
    if not 1 <= len(decoder) <= len(filters):
        raise ValueError(
            f"decoder_filters must have 1 to {len(filters)} entries, not {len(decoder)}"
        )
    step = pool * 2 ** len(filters)
    if image_size % step or image_size < step:
        raise ValueError(f"image_size must be a multiple of {step}, not {image_size}")
