"""One pass over photos that scores colorizers and two baselines on the same pictures."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer.evaluation.bootstrap import Interval, mean_intervals
from colorizer.evaluation.kid_bootstrap import ResampledKid, resample_kids
from colorizer.evaluation.predictions import Features, PredictAb, checked_ab, rgb8
from colorizer.evaluation.sheet_photos import SheetPhoto, SheetPicker
from colorizer.metrics.colourfulness import colourfulness
from colorizer.metrics.delta_e_76 import mean_delta_e_76
from colorizer.metrics.delta_e_2000 import mean_delta_e_2000
from colorizer.metrics.encoded_pictures import encode, to_lab
from colorizer.metrics.fid import fid
from colorizer.metrics.psnr import psnr
from colorizer.metrics.ssim import ssim
from pipelines.batches import evaluation_batches
from pipelines.preparation import PreparedPhotos

Tensor = Any

METRICS = ("psnr", "delta_e_76", "delta_e_2000", "ssim", "colourfulness")
PREDICTORS = ("model", "gray", "mean_ab")


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        photos: the evaluated photos; all arrays below are in their order.
        values: for each predictor ("model", then the other models by their names, "gray",
            "mean_ab") and each of `METRICS` one float64 value per photo, shape (N,).
        colourfulness_truth: colourfulness of the originals, shape (N,).
        mean_ab: the training set's mean ab, scaled to [-1, 1].
        sheet_photos: the few pictures kept for a contact sheet.
        kid: KID of each predictor, on all photos and on resamples of them; empty if not measured.
        fid: FID of each predictor; empty if not measured.
    """

    photos: tuple[Path, ...]
    values: Mapping[str, Mapping[str, np.ndarray]]
    colourfulness_truth: np.ndarray
    mean_ab: tuple[float, float]
    sheet_photos: tuple[SheetPhoto, ...]
    kid: Mapping[str, ResampledKid] = field(default_factory=dict)
    fid: Mapping[str, float] = field(default_factory=dict)

    @property
    def against(self) -> tuple[str, ...]:
        """The names of the models that were measured beside the first."""
        return tuple(name for name in self.values if name not in PREDICTORS)

    def only(self, photos: Collection[Path]) -> "Evaluation":
        """Gives the same of some of the photos; without KID, FID and pictures."""
        chosen = [index for index, photo in enumerate(self.photos) if photo in photos]
        return Evaluation(
            tuple(self.photos[index] for index in chosen),
            {
                name: {metric: column[chosen] for metric, column in columns.items()}
                for name, columns in self.values.items()
            },
            self.colourfulness_truth[chosen],
            self.mean_ab,
            (),
        )

    def means(self, predictor: str) -> dict[str, float]:
        """Gives the mean per image of each of `METRICS`."""
        return {metric: float(self.values[predictor][metric].mean()) for metric in METRICS}

    def estimates(self, predictor: str) -> dict[str, Interval]:
        """Gives the bootstrap interval of the mean of each of `METRICS`, and of "kid"."""
        values = self.values[predictor]
        columns = np.stack([values[metric] for metric in METRICS], axis=1)
        intervals = dict(zip(METRICS, mean_intervals(columns), strict=True))
        if self.kid:
            intervals["kid"] = self.kid[predictor].interval()
        return intervals

    def intervals(self, baseline: str) -> dict[str, Interval]:
        """Gives the bootstrap intervals of the paired differences model - baseline.

        `baseline` is any other predictor. Each difference, of `METRICS` and of "kid" where that
        was measured, is taken over the same resamples of photos.
        """
        model, other = self.values["model"], self.values[baseline]
        differences = np.stack([model[metric] - other[metric] for metric in METRICS], axis=1)
        intervals = dict(zip(METRICS, mean_intervals(differences), strict=True))
        if self.kid:
            intervals["kid"] = self.kid["model"].minus(self.kid[baseline])
        return intervals


def evaluate(
    predict_ab: PredictAb,
    prepared: PreparedPhotos,
    batch_size: int = 16,
    *,
    mean_ab: tuple[float, float],
    progress: Callable[[int], object] | None = None,
    against: Mapping[str, PredictAb] | None = None,
    features: Features | None = None,
    fid_features: Features | None = None,
) -> Evaluation:
    """Scores `predict_ab`, gray (ab = 0) and a constant ab on all prepared photos.

    Batches stream by: what stays in memory is a few numbers per photo, its feature vectors, and
    the pictures of the contact sheet.

    Args:
        predict_ab: from `lightness` float32 (N, S, S, 1) to `ab` (N, S, S, 2), each in [-1, 1].
        prepared: the photos.
        batch_size: photos at a time; does not change the result.
        mean_ab: the constant, the mean ab of the training set, in [-1, 1].
        progress: called after each batch with the number of its photos.
        against: other models by name, to be measured on the same pictures.
        features: the judge of KID, from uint8 RGB (N, S, S, 3) to feature vectors (N, d); left
            out, KID is not measured.
        fid_features: the same for FID.

    Raises:
        ColorizerError: a prediction of the wrong shape, or one that is not finite.
        ValueError: another model bears the name of one of `PREDICTORS`; or there are features,
            but only one photo.
    """
    return evaluate_batches(
        predict_ab,
        evaluation_batches(prepared, batch_size).as_numpy_iterator(),
        prepared.photos,
        mean_ab,
        progress,
        against=against,
        features=features,
        fid_features=fid_features,
    )


def evaluate_batches(
    predict_ab: PredictAb,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    photos: tuple[Path, ...],
    mean_ab: tuple[float, float],
    progress: Callable[[int], object] | None = None,
    *,
    against: Mapping[str, PredictAb] | None = None,
    features: Features | None = None,
    fid_features: Features | None = None,
) -> Evaluation:
    """The same as `evaluate` over any batches of (lightness, ab) that belong to `photos`.

    Raises:
        ColorizerError: a prediction of the wrong shape, or one that is not finite.
        ValueError: batches and photos do not go together; and as for `evaluate`.
    """
    models = _models(predict_ab, against or {})
    picker = SheetPicker(len(photos))
    kid_sets, fid_sets = _FeatureSets(features, photos), _FeatureSets(fid_features, photos)
    scores: dict[str, list[Mapping[str, np.ndarray]]] = {}
    truths: list[np.ndarray] = []
    for lightness, ab in batches:
        predicted = {
            **_predicted(models, lightness, photos[_count(truths) :]),
            "gray": np.zeros_like(ab),
            "mean_ab": np.broadcast_to(np.asarray(mean_ab, ab.dtype), ab.shape),
        }
        pictures = _scored(lightness, ab, predicted, scores)
        truths.append(colourfulness(pictures["truth"]).numpy())
        shown = {name: pictures[name] for name in ("gray", *models, "truth")}
        picker.add(scores["model"][-1]["psnr"], shown)
        kid_sets.add(pictures)
        fid_sets.add(pictures)
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
        resample_kids(*kid_sets.joined()) if features else {},
        _fids(*fid_sets.joined()) if fid_features else {},
    )


class _FeatureSets:
    """Gathers the feature vectors of all pictures, by the name of who made them."""

    def __init__(self, features: Features | None, photos: tuple[Path, ...]) -> None:
        if features is not None and len(photos) < 2:
            raise ValueError(f"KID and FID need at least 2 photos, got {len(photos)}")
        self._features = features
        self._sets: dict[str, list[np.ndarray]] = {}

    def add(self, pictures: Mapping[str, np.ndarray]) -> None:
        if self._features is not None:
            for name, rgb in pictures.items():
                self._sets.setdefault(name, []).append(self._features(rgb))

    def joined(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Gives the originals' features, and the others' by name, each (N, d)."""
        sets = {name: np.concatenate(parts) for name, parts in self._sets.items()}
        return sets.pop("truth"), sets


def _models(predict_ab: PredictAb, against: Mapping[str, PredictAb]) -> dict[str, PredictAb]:
    for name in against:
        if name in (*PREDICTORS, "truth"):
            raise ValueError(f"another model cannot be named {name!r}")
    return {"model": predict_ab, **against}


def _predicted(
    models: Mapping[str, PredictAb], lightness: np.ndarray, photos: tuple[Path, ...]
) -> dict[str, np.ndarray]:
    return {
        name: checked_ab(predict_ab(lightness), lightness, photos)
        for name, predict_ab in models.items()
    }


def _scored(
    lightness: np.ndarray,
    ab: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    scores: dict[str, list[Mapping[str, np.ndarray]]],
) -> dict[str, np.ndarray]:
    """Adds a batch to `scores`; gives its pictures, uint8 RGB, by name and as "truth"."""
    true = encode(lightness, ab)
    pictures = {"truth": rgb8(true)}
    for name, predicted_ab in predicted.items():
        pred = encode(lightness, predicted_ab)
        pictures[name] = rgb8(pred)
        values = _scores(true, pred, pictures["truth"], pictures[name])
        scores.setdefault(name, []).append({key: value.numpy() for key, value in values.items()})
    return {name: rgb.numpy() for name, rgb in pictures.items()}


def _joined(batch_scores: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        metric: np.concatenate([batch[metric] for batch in batch_scores]).astype(np.float64)
        for metric in METRICS
    }


def _fids(real: np.ndarray, fakes: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: fid(real, fake) for name, fake in fakes.items()}


def _count(arrays: list[np.ndarray]) -> int:
    return sum(len(array) for array in arrays)


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
