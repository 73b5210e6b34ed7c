"""Colour maths between sRGB and CIE L*a*b*: the one place where it stands.

Conventions
    RGB is gamma-encoded sRGB (IEC 61966-2-1) in [0, 1], channels last. Lab is CIE 1976 L*a*b*
    under D65, 2-degree observer: L in [0, 100], a and b about [-108, 99] inside the sRGB gamut.
    Networks see `lightness` = L / 50 - 1 and `ab` = (a, b) / 128, each in [-1, 1].

Every function is written in `keras.ops`, works eagerly and in a graph, takes NumPy arrays and
backend tensors of any shape that ends in its channels, and has finite gradients everywhere: the
powers are clamped inside the branch that is not taken (the usual `where` trick). They agree with
`tensorflow_io.experimental.color` (see `pipelines.tfio_color`) and with scikit-image to 1e-3 Lab.

All of them insist on float32 or float64: half precision is wrong by up to 0.4 Lab, and integers
would be taken for values a hundredfold too large.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

# IEC 61966-2-1 primaries and white as scikit-image and tfio write them.
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
RGB_FROM_XYZ = np.linalg.inv(XYZ_FROM_RGB)
WHITE_D65 = np.array([0.95047, 1.0, 1.08883])

# CIE 15:2004: the cube root gives way to a straight line below (6/29)^3.
LAB_EPSILON = 0.008856
LAB_KAPPA = 7.787
LAB_OFFSET = 16.0 / 116.0
LAB_F_EPSILON = 0.2068966

# IEC 61966-2-1 transfer function.
SRGB_KNEE = 0.04045
SRGB_KNEE_LINEAR = 0.0031308

LIGHTNESS_HALF_RANGE = 50.0
AB_RANGE = 128.0


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Converts sRGB in [0, 1], shape (..., 3), to CIE Lab of the same shape and dtype.

    Raises:
        TypeError: `rgb` is neither float32 nor float64.
        ValueError: the last axis does not hold 3 channels.
    """
    return ops.stack(rgb_planes_to_lab(*_planes(_checked(rgb, channels=3))), axis=-1)


def rgb_planes_to_lab(red: Tensor, green: Tensor, blue: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Converts planes of sRGB in [0, 1], of one shape, to planes of L, a and b.

    XLA makes one loop of planes, of which only what is used is computed; channels put together
    are ten times as slow there.
    """
    linear = [_to_linear(plane) for plane in (red, green, blue)]
    fx, fy, fz = (_lab_f(plane) for plane in _mix(linear, XYZ_FROM_RGB / WHITE_D65[:, None]))
    return 116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Converts CIE Lab, shape (..., 3), to sRGB of the same shape and dtype.

    Colours outside the sRGB gamut are clipped to [0, 1], where their gradient is zero.

    Raises:
        TypeError: `lab` is neither float32 nor float64.
        ValueError: the last axis does not hold 3 channels.
    """
    return ops.stack(lab_planes_to_rgb(*_planes(_checked(lab, channels=3))), axis=-1)


def lab_planes_to_rgb(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Converts planes of L, a and b, of one shape, to planes of sRGB, clipped to [0, 1]."""
    fy = (lightness + 16.0) / 116.0
    # Blue so strong that Z would be negative: scikit-image and tfio put it at zero too.
    fz = ops.maximum(fy - b / 200.0, 0.0)
    xyz = [_lab_f_inverse(f) for f in (fy + a / 500.0, fy, fz)]
    red, green, blue = (_from_linear(plane) for plane in _mix(xyz, RGB_FROM_XYZ * WHITE_D65))
    return red, green, blue


def lab_to_lightness_ab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Splits CIE Lab (..., 3) into `lightness` (..., 1) and `ab` (..., 2), each in [-1, 1]."""
    lab = _checked(lab, channels=3)
    return lab[..., :1] / LIGHTNESS_HALF_RANGE - 1.0, lab[..., 1:] / AB_RANGE


def lightness_ab_to_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """Joins `lightness` (..., 1) and `ab` (..., 2), each in [-1, 1], to CIE Lab (..., 3)."""
    lightness, ab = _checked(lightness, channels=1), _checked(ab, channels=2)
    return ops.concatenate([(lightness + 1.0) * LIGHTNESS_HALF_RANGE, ab * AB_RANGE], axis=-1)


def rgb_to_lightness_ab(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Converts sRGB (..., 3) in [0, 1] to the networks' `lightness` and `ab` in [-1, 1]."""
    return lab_to_lightness_ab(rgb_to_lab(rgb))


def lightness_ab_to_rgb(lightness: Tensor, ab: Tensor) -> Tensor:
    """Converts `lightness` (..., 1) and `ab` (..., 2) in [-1, 1] to sRGB (..., 3) in [0, 1]."""
    return lab_to_rgb(lightness_ab_to_lab(lightness, ab))


def _to_linear(plane: Tensor) -> Tensor:
    return ops.where(
        plane > SRGB_KNEE,
        _power((ops.maximum(plane, SRGB_KNEE) + 0.055) / 1.055, 2.4),
        plane / 12.92,
    )


def _from_linear(plane: Tensor) -> Tensor:
    encoded = ops.where(
        plane > SRGB_KNEE_LINEAR,
        1.055 * _power(ops.maximum(plane, SRGB_KNEE_LINEAR), 1.0 / 2.4) - 0.055,
        12.92 * plane,
    )
    return ops.clip(encoded, 0.0, 1.0)


def _lab_f(plane: Tensor) -> Tensor:
    return ops.where(
        plane > LAB_EPSILON,
        _power(ops.maximum(plane, LAB_EPSILON), 1.0 / 3.0),
        LAB_KAPPA * plane + LAB_OFFSET,
    )


def _lab_f_inverse(f: Tensor) -> Tensor:
    return ops.where(f > LAB_F_EPSILON, f * f * f, (f - LAB_OFFSET) / LAB_KAPPA)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Raises a positive `base`: on a CPU several times faster than `ops.power`."""
    return ops.exp(exponent * ops.log(base))


def _planes(channels: Tensor) -> list[Tensor]:
    return [channels[..., i] for i in range(3)]


def _mix(planes: Sequence[Tensor], matrix: np.ndarray) -> list[Tensor]:
    """Applies a 3x3 colour matrix: sums of planes, much faster than a tiny matmul."""
    return [sum(float(row[i]) * planes[i] for i in range(3)) for row in matrix]


def _checked(values: Tensor, channels: int) -> Tensor:
    values = ops.convert_to_tensor(values)
    name = keras.backend.standardize_dtype(values.dtype)
    if name not in ("float32", "float64"):
        raise TypeError(f"colour maths takes float32 or float64, not {name}")
    if values.shape[-1] != channels:
        raise ValueError(f"expected {channels} channels last, got shape {tuple(values.shape)}")
    return values
