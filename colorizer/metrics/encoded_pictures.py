"""What the metric classes take: pictures in the networks' encoding, and what they become.

An encoded picture is float32 or float64 of shape (..., H, W, 3): channel 0 is `lightness`,
channels 1 and 2 are `ab`, each in [-1, 1] (see `pipelines.color`).
"""

from typing import Any

import keras
from keras import ops

from pipelines.color import lab_to_rgb, lightness_ab_to_lab

Tensor = Any


def encode(lightness: Tensor, ab: Tensor) -> Tensor:
    """Joins `lightness` (..., 1) and `ab` (..., 2) to encoded pictures (..., 3)."""
    return ops.concatenate([lightness, ab], axis=-1)


def to_lab(pictures: Tensor) -> Tensor:
    """Converts encoded pictures to CIE Lab of the same shape and dtype."""
    return lightness_ab_to_lab(pictures[..., :1], pictures[..., 1:])


def to_rgb8(pictures: Tensor) -> Tensor:
    """Converts encoded pictures to what a screen shows: uint8 sRGB, clipped and rounded."""
    return ops.cast(ops.round(lab_to_rgb(to_lab(pictures)) * 255.0), "uint8")


def checked_rgb8(rgb: Tensor) -> Tensor:
    """Gives `rgb` as a tensor, once it is known to be uint8 of shape (N, H, W, 3).

    Raises:
        TypeError: `rgb` is not uint8.
        ValueError: its shape is not (N, H, W, 3).
    """
    rgb = ops.convert_to_tensor(rgb)
    name = keras.backend.standardize_dtype(rgb.dtype)
    if name != "uint8":
        raise TypeError(f"expected 8-bit RGB as uint8, not {name}")
    if len(rgb.shape) != 4 or rgb.shape[-1] != 3:
        raise ValueError(f"expected RGB of shape (N, H, W, 3), got {tuple(rgb.shape)}")
    return rgb
