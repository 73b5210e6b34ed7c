"""Colour differences between CIE Lab colours, per pixel: CIE76 and CIEDE2000.

Every function is written in `keras.ops`, takes Lab of shape (..., 3) as `pipelines.color` gives
it, float32 or float64, and gives one difference per colour, shape (...). The gradients are finite
everywhere, zero where two colours are equal, so that each of them can serve as a loss.
"""

import math
from typing import Any

import keras
from keras import ops

Tensor = Any

# CIE 142-2001: the chroma at which a is stretched, as C^7 / (C^7 + 25^7).
CHROMA_KNEE = 25.0

# Below this a square root counts as zero and has the gradient zero: differences of 1e-12.
SQUARE_EPSILON = 1e-24


def delta_e_76(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Gives the CIE76 difference, the Euclidean distance in Lab, shape (...).

    Raises:
        TypeError: the colours are not both float32 or both float64.
        ValueError: the last axis does not hold 3 channels.
    """
    lab1, lab2 = _checked_pair(lab1, lab2)
    return _root(ops.sum(ops.square(lab1 - lab2), axis=-1))


def delta_e_2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Gives the CIEDE2000 difference with kL = kC = kH = 1, shape (...). Symmetric.

    The formula is CIE 142-2001 in the form of Sharma, Wu and Dalal, "The CIEDE2000
    color-difference formula: implementation notes, supplementary test data, and mathematical
    observations", Color Research and Application 30 (2005). It jumps where the hues are opposite;
    there the gradient is that of one of the sides.

    Raises:
        TypeError: the colours are not both float32 or both float64.
        ValueError: the last axis does not hold 3 channels.
    """
    lab1, lab2 = _checked_pair(lab1, lab2)
    l1, a1, b1 = (lab1[..., i] for i in range(3))
    l2, a2, b2 = (lab2[..., i] for i in range(3))
    stretch = 1.5 - 0.5 * _saturation((_chroma(a1, b1) + _chroma(a2, b2)) / 2.0)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = _chroma(a1, b1), _chroma(a2, b2)
    hue_difference, mean_hue = _hues(a1, b1, a2, b2)

    mean_l, mean_c = (l1 + l2) / 2.0, (c1 + c2) / 2.0
    l_offset = ops.square(mean_l - 50.0)
    weight_l = 1.0 + 0.015 * l_offset / ops.sqrt(20.0 + l_offset)
    weight_c = 1.0 + 0.045 * mean_c
    weight_h = 1.0 + 0.015 * mean_c * _hue_weight(mean_hue)

    lightness_term = (l2 - l1) / weight_l
    chroma_term = (c2 - c1) / weight_c
    hue_term = 2.0 * _root(c1 * c2) * ops.sin(hue_difference / 2.0) / weight_h
    rotation = -2.0 * _saturation(mean_c) * ops.sin(_rotation_angle(mean_hue))
    return _root(
        ops.square(lightness_term)
        + ops.square(chroma_term)
        + ops.square(hue_term)
        + rotation * chroma_term * hue_term
    )


def _hues(a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    """Gives the signed hue difference in [-pi, pi] and the mean hue in [0, 2 pi], in radians.

    A colour without chroma has no hue: the mean is then the hue of the other one.
    """
    h1, has_hue1 = _hue(a1, b1)
    h2, has_hue2 = _hue(a2, b2)
    difference = h2 - h1
    # "More than half a turn apart" by the sign of the cross product: exact for opposite hues,
    # where the difference of two rounded angles may fall on either side of pi.
    cross = a1 * b2 - a2 * b1
    wraps = (difference * cross < 0.0) & (ops.abs(difference) > math.pi / 2.0)
    turn = 2.0 * math.pi * ops.cast(wraps, difference.dtype)
    total = h1 + h2
    upwards = ops.cast(total < 2.0 * math.pi, total.dtype)
    mean = total / 2.0 + turn * (upwards - 0.5)
    difference = difference - turn * ops.sign(difference)
    return difference, ops.where(has_hue1 & has_hue2, mean, total)


def _hue(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Gives the hue angle in [0, 2 pi), 0 for a colour without chroma, and where there is one."""
    has_hue = ops.square(a) + ops.square(b) > SQUARE_EPSILON
    angle = ops.arctan2(ops.where(has_hue, b, 0.0), ops.where(has_hue, a, 1.0))
    return ops.where(angle < 0.0, angle + 2.0 * math.pi, angle), has_hue


def _hue_weight(hue: Tensor) -> Tensor:
    """The factor T of the formula: how much a difference of hue counts around the circle."""
    return (
        1.0
        - 0.17 * ops.cos(hue - math.radians(30.0))
        + 0.24 * ops.cos(2.0 * hue)
        + 0.32 * ops.cos(3.0 * hue + math.radians(6.0))
        - 0.20 * ops.cos(4.0 * hue - math.radians(63.0))
    )


def _rotation_angle(hue: Tensor) -> Tensor:
    """Twice the angle by which the ellipses turn in the blues, around a hue of 275 degrees."""
    distance = (hue - math.radians(275.0)) / math.radians(25.0)
    return math.radians(60.0) * ops.exp(-ops.square(distance))


def _saturation(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), with C scaled by 25 so that float32 holds the powers."""
    scaled = chroma / CHROMA_KNEE
    cubed = scaled * scaled * scaled
    seventh = cubed * cubed * scaled
    return cubed * _root(scaled) / ops.sqrt(seventh + 1.0)


def _chroma(a: Tensor, b: Tensor) -> Tensor:
    return _root(ops.square(a) + ops.square(b))


def _root(values: Tensor) -> Tensor:
    """Square root whose gradient is zero, not infinite, at zero."""
    positive = values > SQUARE_EPSILON
    return ops.where(positive, ops.sqrt(ops.where(positive, values, 1.0)), 0.0)


def _checked_pair(lab1: Tensor, lab2: Tensor) -> tuple[Tensor, Tensor]:
    lab1, lab2 = ops.convert_to_tensor(lab1), ops.convert_to_tensor(lab2)
    names = [keras.backend.standardize_dtype(lab.dtype) for lab in (lab1, lab2)]
    if names not in (["float32", "float32"], ["float64", "float64"]):
        raise TypeError(f"colours must both be float32 or both float64, not {' and '.join(names)}")
    for lab in (lab1, lab2):
        if lab.shape[-1] != 3:
            raise ValueError(f"expected 3 channels last, got shape {tuple(lab.shape)}")
    return lab1, lab2
