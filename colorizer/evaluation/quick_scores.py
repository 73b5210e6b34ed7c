"""The few figures that a training needs of its network after every epoch."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from colorizer.evaluation.predictions import Features, PredictAb, checked_ab, rgb8
from colorizer.metrics.colourfulness import colourfulness
from colorizer.metrics.encoded_pictures import encode
from colorizer.metrics.kid import kid
from colorizer.metrics.psnr import psnr
from pipelines.batches import evaluation_batches
from pipelines.preparation import PreparedPhotos


@dataclass(frozen=True)
class _Pass:
    """Features (N, d), and PSNR and colourfulness (N,), of one prediction for all photos."""

    features: np.ndarray
    psnr: np.ndarray
    colourfulness: np.ndarray


class QuickScorer:
    """Scores predictors on the same photos, again and again, without the slow metrics.

    The figures are those of `colorizer.evaluation.evaluation.evaluate`; CIE76, CIEDE2000, SSIM
    and the intervals are left out. What does not depend on the predictor (the originals' features
    and colourfulness, gray's PSNR and KID) is measured at the first call and kept.

    Args:
        prepared: the photos, at least two.
        features: from uint8 RGB (N, S, S, 3) to feature vectors (N, d).
        batch_size: photos at a time; does not change the result.

    Raises:
        ValueError: fewer than two photos, which leave KID undefined.
    """

    def __init__(self, prepared: PreparedPhotos, features: Features, batch_size: int = 16) -> None:
        if len(prepared) < 2:
            raise ValueError(f"KID needs at least 2 photos, got {len(prepared)}")
        self.prepared = prepared
        self.features = features
        self.batch_size = batch_size
        # Built once: each anew would compile the colour conversion of photos anew.
        self._batches = evaluation_batches(prepared, batch_size)
        self._originals: _Pass | None = None
        self._gray: dict[str, float] = {}

    def __call__(self, predict_ab: PredictAb) -> dict[str, float]:
        """Scores `predict_ab` on all photos.

        Args:
            predict_ab: from `lightness` float32 (N, S, S, 1) to `ab` (N, S, S, 2), each in
                [-1, 1].

        Returns:
            Means per photo "psnr" (dB), "colourfulness" and "colourfulness_truth", and "kid"
            (raw, see `colorizer.metrics.kid`); "psnr_gray" and "kid_gray" of ab = 0 beside them.

        Raises:
            ColorizerError: a prediction of the wrong shape, or one that is not finite.
        """
        if self._originals is None:
            originals = self._measured(None)
            gray = self._measured(lambda lightness: np.repeat(0.0 * lightness, 2, axis=-1))
            self._gray = {
                "psnr_gray": float(gray.psnr.mean()),
                "kid_gray": kid(originals.features, gray.features),
            }
            self._originals = originals
        scored = self._measured(predict_ab)
        return {
            "psnr": float(scored.psnr.mean()),
            "colourfulness": float(scored.colourfulness.mean()),
            "colourfulness_truth": float(self._originals.colourfulness.mean()),
            "kid": kid(self._originals.features, scored.features),
            **self._gray,
        }

    def _measured(self, predict_ab: PredictAb | None) -> _Pass:
        """Passes over all photos; without `predict_ab`, the originals are measured themselves."""
        features, decibels, colours = [], [], []
        for number, (lightness, ab) in enumerate(self._batches.as_numpy_iterator()):
            true = rgb8(encode(lightness, ab))
            pred = true
            if predict_ab is not None:
                photos = self.prepared.photos[number * self.batch_size :]
                pred = rgb8(encode(lightness, checked_ab(predict_ab(lightness), lightness, photos)))
            features.append(self.features(pred.numpy()))
            values = _quick(true, pred)
            decibels.append(values[0].numpy())
            colours.append(values[1].numpy())
        return _Pass(
            np.concatenate(features),
            np.concatenate(decibels).astype(np.float64),
            np.concatenate(colours).astype(np.float64),
        )


@tf.function(reduce_retracing=True)
def _quick(true: tf.Tensor, pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return psnr(true, pred), colourfulness(pred)
