"""Structural similarity over 8-bit RGB."""

from typing import Any

import keras
import numpy as np
from keras import ops

from colorizer.metrics.encoded_pictures import checked_rgb8, to_rgb8
from colorizer.metrics.mean_over_images import MeanOverImages

Tensor = Any

# Wang, Bovik, Sheikh and Simoncelli 2004: window and constants of the paper.
WINDOW = 11
SIGMA = 1.5
K1 = 0.01
K2 = 0.03


def ssim(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Gives the structural similarity per image, at most 1, float32 of shape (N,).

    As in Wang et al., "Image quality assessment: from error visibility to structural similarity"
    (2004): gaussian window of 11x11 and sigma 1.5, K1 = 0.01, K2 = 0.03, range 255, population
    covariance. Each RGB channel is measured alone, and the mean taken over channels and all
    positions where the window lies inside the picture.

    Args:
        y_true: uint8 RGB (N, H, W, 3), H and W at least 11.
        y_pred: the same.

    Raises:
        TypeError: the pictures are not uint8.
        ValueError: they are not of shape (N, H, W, 3), or smaller than the window.
    """
    true, pred = _scaled(y_true), _scaled(y_pred)
    mean_true, mean_pred = _blurred(true), _blurred(pred)
    mean_product = mean_true * mean_pred
    mean_squares = ops.square(mean_true) + ops.square(mean_pred)
    covariance = _blurred(true * pred) - mean_product
    variances = _blurred(ops.square(true) + ops.square(pred)) - mean_squares
    luminance = (2.0 * mean_product + K1**2) / (mean_squares + K1**2)
    structure = (2.0 * covariance + K2**2) / (variances + K2**2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def _scaled(rgb: Tensor) -> Tensor:
    """Gives RGB in [0, 1], where float32 loses least in the differences of squares."""
    rgb = checked_rgb8(rgb)
    height, width = rgb.shape[1:3]
    if any(side is not None and side < WINDOW for side in (height, width)):
        raise ValueError(f"SSIM needs at least {WINDOW}x{WINDOW} pixels, got {height}x{width}")
    return ops.cast(rgb, "float32") / 255.0


def _blurred(values: Tensor) -> Tensor:
    """Weighs each channel by the gaussian window, first down, then across."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = np.tile((weights / weights.sum())[:, None, None, None], (1, 1, 3, 1))
    for shaped in (kernel, kernel.swapaxes(0, 1)):
        values = ops.depthwise_conv(values, shaped.astype("float32"), data_format="channels_last")
    return values


@keras.saving.register_keras_serializable(package="colorizer")
class SSIM(MeanOverImages):
    """Mean over images of `ssim`; 1 for identical pictures.

    It takes encoded pictures and rounds them to 8-bit RGB.

    Args:
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, name: str = "ssim", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def per_image(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Gives the structural similarity per image, shape (N,)."""
        return ssim(to_rgb8(y_true), to_rgb8(y_pred))
