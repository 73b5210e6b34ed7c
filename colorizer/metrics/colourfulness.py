"""Colourfulness by Hasler and Suesstrunk over 8-bit RGB."""

from typing import Any

import keras
from keras import ops

from colorizer.metrics.encoded_pictures import checked_rgb8, to_rgb8
from colorizer.metrics.mean_over_images import MeanOverImages

Tensor = Any


def colourfulness(rgb: Tensor) -> Tensor:
    """Gives the colourfulness per image, 0 for gray, float32 of shape (N,).

    Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), their M3:
    sigma + 0.3 mu over the opponent axes rg = R - G and yb = (R + G) / 2 - B, with
    sigma^2 = var(rg) + var(yb) and mu^2 = mean(rg)^2 + mean(yb)^2. The axes are signed, as in the
    paper; code that takes `|rg|` and `|yb|` gives other values. 33 is "moderately", 82 "highly"
    colourful there.

    Args:
        rgb: uint8 RGB (N, H, W, 3).

    Raises:
        TypeError: the pictures are not uint8.
        ValueError: they are not of shape (N, H, W, 3).
    """
    rgb = ops.cast(checked_rgb8(rgb), "float32")
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    axes = ops.stack([red - green, (red + green) / 2.0 - blue], axis=-1)
    means = ops.mean(axes, axis=(1, 2))
    variances = ops.mean(ops.square(axes - means[:, None, None, :]), axis=(1, 2))
    return ops.sqrt(ops.sum(variances, axis=-1)) + 0.3 * ops.sqrt(
        ops.sum(ops.square(means), axis=-1)
    )


@keras.saving.register_keras_serializable(package="colorizer")
class Colourfulness(MeanOverImages):
    """Mean over images of the `colourfulness` of `y_pred`.

    It takes encoded pictures and rounds them to 8-bit RGB. `y_true` is not looked at: for the
    colourfulness of the originals, give them as `y_pred`.

    Args:
        name: name of the metric.
        dtype: dtype of the result.
    """

    def __init__(self, name: str = "colourfulness", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def per_image(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Gives the colourfulness of `y_pred` per image, shape (N,)."""
        return colourfulness(to_rgb8(y_pred))
