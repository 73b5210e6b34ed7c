"""What every evaluation does with a prediction: check it, and make the picture that is judged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer.metrics.encoded_pictures import to_rgb8
from pipelines.errors import ColorizerError

Tensor = Any
PredictAb = Callable[[np.ndarray], np.ndarray]
Features = Callable[[np.ndarray], np.ndarray]


def checked_ab(ab: Any, lightness: np.ndarray, photos: Sequence[Path]) -> np.ndarray:
    """Gives a predicted `ab` as float32, once it is known to fit `lightness` and to be finite.

    Args:
        ab: the prediction, expected as (N, S, S, 2).
        lightness: what it was made from, (N, S, S, 1).
        photos: the photos of the batch, to be named in the error.

    Raises:
        ColorizerError: a prediction of the wrong shape, or one that is not finite.
    """
    ab = np.asarray(ab, np.float32)
    expected = (*lightness.shape[:-1], 2)
    if ab.shape != expected:
        raise ColorizerError(f"the model predicts ab of shape {ab.shape}, expected {expected}")
    finite = np.isfinite(ab).all(axis=(1, 2, 3))
    if not finite.all():
        photo = photos[int(np.argmin(finite))]
        raise ColorizerError(f"{photo}: the model predicts ab that is not finite")
    return ab


# XLA makes the colour conversion five times faster, and CIEDE2000 four times slower.
@tf.function(jit_compile=True, reduce_retracing=True)
def rgb8(pictures: Tensor) -> Tensor:
    """Converts encoded pictures (N, S, S, 3) to uint8 sRGB of the same shape."""
    return to_rgb8(pictures)
