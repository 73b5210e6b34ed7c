"""CIE76 colour difference of whole pictures."""

from typing import Any

import keras
from keras import ops

from colorizer.metrics.encoded_pictures import to_lab
from colorizer.metrics.mean_over_images import MeanOverImages
from pipelines.color_difference import delta_e_76

Tensor = Any


def mean_delta_e_76(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Gives the mean over pixels of CIE76 (the Euclidean distance in Lab) per image, shape (N,).

    Args:
        y_true: CIE Lab (N, H, W, 3), float32 or float64.
        y_pred: the same.

    Raises:
        TypeError: the pictures are not both float32 or both float64.
        ValueError: the last axis does not hold 3 channels.
    """
    return ops.mean(delta_e_76(y_true, y_pred), axis=(-2, -1))


@keras.saving.register_keras_serializable(package="colorizer")
class DeltaE76(MeanOverImages):
    """Mean over images of `mean_delta_e_76`; lower is better.

    It takes encoded pictures and compares their Lab colours as they are: not rounded to 8 bits
    and not clipped to sRGB, so that a lightness that both share adds nothing.

    Args:
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, name: str = "delta_e_76", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def per_image(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Gives the mean CIE76 difference per image, shape (N,)."""
        return mean_delta_e_76(to_lab(y_true), to_lab(y_pred))
