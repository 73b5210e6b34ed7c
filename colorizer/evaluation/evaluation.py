"""One pass over photos that scores a colorizer and its two baselines on the same pictures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer.evaluation.bootstrap import Interval, mean_intervals
from colorizer.evaluation.sheet_photos import SheetPhoto, SheetPicker
from colorizer.metrics.colourfulness import colourfulness
from colorizer.metrics.delta_e_76 import mean_delta_e_76
from colorizer.metrics.delta_e_2000 import mean_delta_e_2000
from colorizer.metrics.encoded_pictures import encode, to_lab, to_rgb8
from colorizer.metrics.psnr import psnr
from colorizer.metrics.ssim import ssim
from pipelines.batches import evaluation_batches
from pipelines.errors import ColorizerError
from pipelines.preparation import PreparedPhotos

Tensor = Any
PredictAb = Callable[[np.ndarray], np.ndarray]

METRICS = ("psnr", "delta_e_76", "delta_e_2000", "ssim", "colourfulness")
PREDICTORS = ("model", "gray", "mean_ab")


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        photos: the evaluated photos; all arrays below are in their order.
        values: for each of `PREDICTORS` and `METRICS` one float64 value per photo, shape (N,).
        colourfulness_truth: colourfulness of the originals, shape (N,).
        mean_ab: the training set's mean ab, scaled to [-1, 1].
        sheet_photos: the few pictures kept for a contact sheet.
    """

    photos: tuple[Path, ...]
    values: Mapping[str, Mapping[str, np.ndarray]]
    colourfulness_truth: np.ndarray
    mean_ab: tuple[float, float]
    sheet_photos: tuple[SheetPhoto, ...]

    def means(self, predictor: str) -> dict[str, float]:
        """Gives the mean per image of each of `METRICS`."""
        return {metric: float(self.values[predictor][metric].mean()) for metric in METRICS}

    def intervals(self, baseline: str) -> dict[str, Interval]:
        """Gives the bootstrap interval of the paired difference model - baseline, per metric."""
        model, other = self.values["model"], self.values[baseline]
        differences = np.stack([model[metric] - other[metric] for metric in METRICS], axis=1)
        return dict(zip(METRICS, mean_intervals(differences), strict=True))


def evaluate(
    predict_ab: PredictAb,
    prepared: PreparedPhotos,
    batch_size: int = 16,
    *,
    mean_ab: tuple[float, float],
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Scores `predict_ab`, gray (ab = 0) and a constant ab on all prepared photos.

    Batches stream by: what stays in memory is a few numbers per photo and the pictures of the
    contact sheet.

    Args:
        predict_ab: from `lightness` float32 (N, S, S, 1) to `ab` (N, S, S, 2), each in [-1, 1].
        prepared: the photos.
        batch_size: photos at a time; does not change the result.
        mean_ab: the constant, the mean ab of the training set, in [-1, 1].
        progress: called after each batch with the number of its photos.

    Raises:
        ColorizerError: a prediction of the wrong shape, or one that is not finite.
    """
    batches = evaluation_batches(prepared, batch_size).as_numpy_iterator()
    return evaluate_batches(predict_ab, batches, prepared.photos, mean_ab, progress)


def evaluate_batches(
    predict_ab: PredictAb,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    photos: tuple[Path, ...],
    mean_ab: tuple[float, float],
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """The same as `evaluate` over any batches of (lightness, ab) that belong to `photos`.

    Raises:
        ColorizerError: a prediction of the wrong shape, or one that is not finite.
    """
    picker = SheetPicker(len(photos))
    scores: dict[str, list[Mapping[str, np.ndarray]]] = {name: [] for name in PREDICTORS}
    truths: list[np.ndarray] = []
    for lightness, ab in batches:
        predicted = {
            "model": _checked(predict_ab(lightness), lightness, photos[_count(truths) :]),
            "gray": np.zeros_like(ab),
            "mean_ab": np.broadcast_to(np.asarray(mean_ab, ab.dtype), ab.shape),
        }
        true = encode(lightness, ab)
        pictures = {"truth": _rgb8(true)}
        for name in PREDICTORS:
            pred = encode(lightness, predicted[name])
            pictures[name] = _rgb8(pred)
            values = _scores(true, pred, pictures["truth"], pictures[name])
            scores[name].append({metric: value.numpy() for metric, value in values.items()})
        truths.append(colourfulness(pictures["truth"]).numpy())
        shown = {name: pictures[name].numpy() for name in ("gray", "model", "truth")}
        picker.add(scores["model"][-1]["psnr"], shown)
        if progress is not None:
            progress(len(lightness))
    if _count(truths) != len(photos):
        raise ValueError(f"{_count(truths)} pictures came for {len(photos)} photos")
    return Evaluation(
        photos,
        {name: _joined(batch_scores) for name, batch_scores in scores.items()},
        np.concatenate(truths).astype(np.float64),
        mean_ab,
        picker.picked(),
    )


def _joined(batch_scores: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        metric: np.concatenate([batch[metric] for batch in batch_scores]).astype(np.float64)
        for metric in METRICS
    }


def _count(arrays: list[np.ndarray]) -> int:
    return sum(len(array) for array in arrays)


# XLA makes the colour conversion five times faster, and CIEDE2000 four times slower.
@tf.function(jit_compile=True, reduce_retracing=True)
def _rgb8(pictures: Tensor) -> Tensor:
    return to_rgb8(pictures)


@tf.function(reduce_retracing=True)
def _scores(true: Tensor, pred: Tensor, true_rgb: Tensor, pred_rgb: Tensor) -> dict[str, Tensor]:
    lab_true, lab_pred = to_lab(true), to_lab(pred)
    return {
        "psnr": psnr(true_rgb, pred_rgb),
        "delta_e_76": mean_delta_e_76(lab_true, lab_pred),
        "delta_e_2000": mean_delta_e_2000(lab_true, lab_pred),
        "ssim": ssim(true_rgb, pred_rgb),
        "colourfulness": colourfulness(pred_rgb),
    }


def _checked(ab: Any, lightness: np.ndarray, photos: tuple[Path, ...]) -> np.ndarray:
    ab = np.asarray(ab, np.float32)
    expected = (*lightness.shape[:-1], 2)
    if ab.shape != expected:
        raise ColorizerError(f"the model predicts ab of shape {ab.shape}, expected {expected}")
    finite = np.isfinite(ab).all(axis=(1, 2, 3))
    if not finite.all():
        photo = photos[int(np.argmin(finite))]
        raise ColorizerError(f"{photo}: the model predicts ab that is not finite")
    return ab
