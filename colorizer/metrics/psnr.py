"""Peak signal-to-noise ratio over 8-bit RGB."""

import math
from typing import Any

import keras
from keras import ops

from colorizer.metrics.encoded_pictures import checked_rgb8, to_rgb8
from colorizer.metrics.mean_over_images import MeanOverImages

Tensor = Any

CAP = 100.0


def psnr(y_true: Tensor, y_pred: Tensor, cap: float = CAP) -> Tensor:
    """Gives 10 log10(255^2 / MSE) in dB per image, float32 of shape (N,).

    MSE is the mean over all pixels and channels of one image. Identical images have no finite
    ratio: every value is capped at `cap` dB (a single level in one channel of a 256x256 picture
    is 101 dB).

    Args:
        y_true: uint8 RGB (N, H, W, 3).
        y_pred: the same.
        cap: largest value given, in dB.

    Raises:
        TypeError: the pictures are not uint8.
        ValueError: they are not of shape (N, H, W, 3).
    """
    error = ops.cast(checked_rgb8(y_true), "float32") - ops.cast(checked_rgb8(y_pred), "float32")
    squared = ops.mean(ops.square(error), axis=(1, 2, 3))
    floor = 255.0**2 / 10.0 ** (cap / 10.0)
    decibel = 10.0 / math.log(10.0) * ops.log(255.0**2 / ops.maximum(squared, floor))
    return ops.minimum(decibel, cap)


@keras.saving.register_keras_serializable(package="colorizer")
class PSNR(MeanOverImages):
    """Mean over images of `psnr`, in dB; higher is better.

    It takes encoded pictures and rounds them to 8-bit RGB.

    Args:
        cap: largest value of a single image, in dB.
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, cap: float = CAP, name: str = "psnr", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.cap = cap

    def per_image(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Gives PSNR in dB per image, shape (N,)."""
        return psnr(to_rgb8(y_true), to_rgb8(y_pred), self.cap)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the metric."""
        return {**super().get_config(), "cap": self.cap}
