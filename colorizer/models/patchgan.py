"""A discriminator that judges patches (PatchGAN, Isola et al. 2017)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import initializers, layers

from colorizer.models.attention import SelfAttention2D
from colorizer.models.discriminator import discriminator_inputs, discriminator_model
from colorizer.models.spectral import SpectralConv2D

Tensor = Any

KERNEL_SIZE = 4
LEAKY_SLOPE = 0.2
INITIAL_STDDEV = 0.02
NORMALIZATIONS = ("batch", "instance", "layer", "none")


def build_patchgan_discriminator(
    image_size: int = 256,
    *,
    pool: int = 1,
    filters: Sequence[int] = (32, 64, 128, 256),
    normalization: str = "batch",
    spectral_normalization: bool = False,
    attention: bool = False,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds a discriminator that gives one logit for each of many overlapping patches.

    Blocks of a 4x4 convolution of stride 2, normalization (not in the first block) and Leaky
    ReLU; then a 4x4 convolution of stride 1 to the logits, one for every 2^B pixels with B
    blocks. A logit sees `receptive_field(B)` pixels: 94 with the default 4 blocks. Isola's 70
    come from 3 blocks of stride 2 and one more convolution of stride 1, which costs a CPU twice
    as much. Weights start from N(0, 0.02).

    Args:
        image_size: side S of the square input, a multiple of pool * 2^B.
        pool: lightness and ab are shrunk by this factor first (mean pooling), and all that is said
            above holds of the smaller picture. A generator that predicts ab at a lower resolution
            needs it: else the discriminator sees nothing but that its ab is smooth.
        filters: filters of each block.
        normalization: "batch"; "instance" or "layer" (each photo by itself, each channel by
            itself or all channels at once), for losses that take gradients a photo, where batch
            normalization would mix photos; or "none".
        spectral_normalization: bound every convolution (`SpectralConv2D`). It is meant to go
            with normalization "none": any other rescales what it has bounded.
        attention: put `SelfAttention2D` after the last block but one.
        norm_momentum: how slowly batch normalization's moving statistics follow.

    Returns:
        Model from {"lightness": (N, S, S, 1), "ab": (N, S, S, 2)} to {"logits":
        (N, S/2^B, S/2^B, 1) float32, "probability": the same, "feature_1": (N, S/2, S/2, C), ...}.

    Raises:
        ValueError: no filters, `image_size` is no multiple of 2^B, no such normalization, or
            attention with fewer than 2 blocks.
    """
    _check(image_size, pool, filters, normalization, attention)
    inputs, x = discriminator_inputs(image_size)
    if pool > 1:
        x = layers.AveragePooling2D(pool, name="pooled")(x)
    features = []
    for number, count in enumerate(filters, start=1):
        name = f"block_{number}"
        x = _convolution(count, name, spectral_normalization, strides=2)(x)
        if number > 1:
            x = _normalized(x, normalization, norm_momentum, f"{name}_norm")
        x = layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x)
        features.append(x)
        if attention and number == len(filters) - 1:
            x = SelfAttention2D(spectral_normalization=spectral_normalization, name="attention")(x)
    logits = _convolution(1, "logits", spectral_normalization, dtype="float32")(x)
    return discriminator_model(inputs, features, logits, "patchgan_discriminator")


def receptive_field(blocks: int) -> int:
    """Gives the side, in pixels, of the patch that one logit sees after so many blocks."""
    side, step = 1, 1
    for stride in (*[2] * blocks, 1):
        side += (KERNEL_SIZE - 1) * step
        step *= stride
    return side


def _convolution(
    filters: int, name: str, spectral: bool, *, strides: int = 1, dtype: str | None = None
) -> layers.Layer:
    kind = SpectralConv2D if spectral else layers.Conv2D
    return kind(
        filters,
        KERNEL_SIZE,
        strides=strides,
        padding="same",
        kernel_initializer=initializers.RandomNormal(stddev=INITIAL_STDDEV),
        dtype=dtype,
        name=name,
    )


def _normalized(x: Tensor, normalization: str, momentum: float, name: str) -> Tensor:
    if normalization == "none":
        return x
    if normalization == "batch":
        return layers.BatchNormalization(momentum=momentum, name=name)(x)
    groups = 1 if normalization == "layer" else -1
    return layers.GroupNormalization(groups, name=name)(x)


def _check(
    image_size: int, pool: int, filters: Sequence[int], normalization: str, attention: bool
) -> None:
    stride = pool * 2 ** len(filters)
    if not filters:
        raise ValueError("filters must have at least one entry")
    if image_size < stride or image_size % stride:
        raise ValueError(f"image_size must be a multiple of {stride}, not {image_size}")
    if normalization not in NORMALIZATIONS:
        choices = ", ".join(NORMALIZATIONS)
        raise ValueError(f"no normalization {normalization!r}; there are {choices}")
    if attention and len(filters) < 2:
        raise ValueError(f"attention needs at least 2 blocks, not {len(filters)}")
