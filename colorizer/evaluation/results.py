"""The results of an evaluation in words and figures: JSON and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colorizer.evaluation import kid_bootstrap
from colorizer.evaluation.bands import BANDS
from colorizer.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, Interval, mean_intervals
from colorizer.evaluation.evaluation import METRICS, Evaluation
from pipelines.photo_files import Rejection

_HEADINGS = {
    "psnr": "PSNR (dB), higher is better",
    "delta_e_76": "CIE76, lower is better",
    "delta_e_2000": "CIEDE2000, lower is better",
    "ssim": "SSIM, higher is better",
    "colourfulness": "colourfulness",
    "kid": "KID x1000, lower is better",
    "fid": "FID, lower is better",
}
_NAMES = {"model": "model", "gray": "gray (ab = 0)", "mean_ab": "training set's mean ab"}
_DIGITS = {"psnr": 2, "delta_e_76": 2, "delta_e_2000": 2, "ssim": 4, "colourfulness": 1, "kid": 2}
_SCALES = {"kid": 1000.0}


@dataclass(frozen=True)
class Setting:
    """What was evaluated on what.

    Attributes:
        model: where the model was loaded from.
        data: the folder of photos.
        image_size: side of the square pictures that were compared.
        resize: how photos were made square.
        skipped: the files left out: gray originals and broken ones.
        kid_features: the network whose features KID was measured over; None if it was not.
    """

    model: Path | str
    data: Path
    image_size: int
    resize: str
    skipped: tuple[Rejection, ...]
    kid_features: str | None = None

    def name(self, photo: Path) -> str:
        """Gives the name of a photo within the data folder."""
        return str(photo.relative_to(self.data))


def results_json(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """Gives all results as plain values.

    The model's means stand at the top, those of the baselines under "gray" and "mean_ab", those
    of other models in the list "against". "kid" (raw) and "fid" are there where they were
    measured. "bands" are shares of images, "mean_intervals" and "kid_interval" the intervals of
    the figures themselves, "intervals" those of the paired differences, "parts" the same of the
    data folder's sub-folders where there are several, "photos" the model's values per image.
    """
    return {
        "model": str(setting.model),
        "data": str(setting.data),
        "image_size": setting.image_size,
        "resize": setting.resize,
        **_scores(evaluation, setting, "model"),
        "gray": _scores(evaluation, setting, "gray"),
        "mean_ab": {**_scores(evaluation, setting, "mean_ab"), "ab": list(evaluation.mean_ab)},
        "against": [
            {
                "model": name,
                **_scores(evaluation, setting, name),
                "intervals": {"model_minus_this": _interval_values(evaluation.intervals(name))},
            }
            for name in evaluation.against
        ],
        "intervals": {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": SEED,
            **_kid_setting(evaluation, setting),
            "model_minus_gray": _interval_values(evaluation.intervals("gray")),
            "model_minus_mean_ab": _interval_values(evaluation.intervals("mean_ab")),
        },
        "parts": {
            name: {
                "images": len(part.photos),
                **part.means("model"),
                "colourfulness_truth": float(part.colourfulness_truth.mean()),
                "model_minus_gray": _interval_values(part.intervals("gray")),
                "model_minus_mean_ab": _interval_values(part.intervals("mean_ab")),
            }
            for name, part in _parts(evaluation, setting).items()
        },
        "photos": _per_photo(evaluation, setting),
        "skipped_files": [
            {"file": setting.name(item.path), "reason": item.reason} for item in setting.skipped
        ],
    }


def results_markdown(evaluation: Evaluation, setting: Setting) -> str:
    """Gives the tables in Markdown: the metrics with their intervals, and the report's bands."""
    parts = [
        f"{setting.model} on {setting.data}: {len(evaluation.photos)} photos"
        f" ({len(setting.skipped)} gray or broken files skipped),"
        f" {setting.image_size}x{setting.image_size} ({setting.resize}), mean per image",
        _metrics_table(evaluation),
        _differences_table(evaluation),
        _explanation(evaluation, setting),
        *_parts_table(_parts(evaluation, setting)),
        *(_bands_table(evaluation, metric) for metric in BANDS),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(evaluation: Evaluation, setting: Setting, predictor: str) -> dict[str, Any]:
    intervals = evaluation.estimates(predictor)
    scores: dict[str, Any] = evaluation.means(predictor)
    if evaluation.kid:
        kid = intervals.pop("kid")
        scores |= {"kid": kid.mean, "kid_interval": {"low": kid.low, "high": kid.high}}
    if evaluation.fid:
        scores["fid"] = evaluation.fid[predictor]
    return {
        **scores,
        "colourfulness_truth": float(evaluation.colourfulness_truth.mean()),
        "images": len(evaluation.photos),
        "skipped": len(setting.skipped),
        "bands": {
            metric: bands.shares(evaluation.values[predictor][metric])
            for metric, bands in BANDS.items()
        },
        "mean_intervals": _interval_values(intervals),
    }


def _interval_values(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {metric: asdict(interval) for metric, interval in intervals.items()}


def _kid_setting(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    if not evaluation.kid:
        return {}
    return {"kid_resamples": kid_bootstrap.RESAMPLES, "kid_features": setting.kid_features}


def _per_photo(evaluation: Evaluation, setting: Setting) -> list[dict[str, Any]]:
    values = evaluation.values["model"]
    return [
        {
            "file": setting.name(photo),
            **{metric: round(float(values[metric][index]), 4) for metric in METRICS},
            "colourfulness_truth": round(float(evaluation.colourfulness_truth[index]), 4),
        }
        for index, photo in enumerate(evaluation.photos)
    ]


def _metrics_table(evaluation: Evaluation) -> str:
    columns = [*METRICS, *(["kid"] if evaluation.kid else [])]
    heading = ["mean per image", *(_HEADINGS[metric] for metric in columns)]
    rows = [heading + ([_HEADINGS["fid"]] if evaluation.fid else [])]
    for predictor in _shown(evaluation):
        estimates = evaluation.estimates(predictor)
        cells = [_cell(estimates[metric], metric, "") for metric in columns]
        fid = [f"{evaluation.fid[predictor]:.2f}"] if evaluation.fid else []
        rows.append([_name(predictor), *cells, *fid])
    return _table(rows)


def _differences_table(evaluation: Evaluation) -> str:
    columns = [*METRICS, *(["kid"] if evaluation.kid else [])]
    rows = [["paired difference", *(_HEADINGS[metric].split(",")[0] for metric in columns)]]
    for predictor in _shown(evaluation)[1:]:
        intervals = evaluation.intervals(predictor)
        cells = [_cell(intervals[metric], metric, "+") for metric in columns]
        rows.append([f"model - {_name(predictor)}", *cells])
    return _table(rows)


def _parts(evaluation: Evaluation, setting: Setting) -> dict[str, Evaluation]:
    """The photos of each sub-folder of the data; nothing where there are not several."""
    photos: dict[str, list[Path]] = {}
    for photo in evaluation.photos:
        inside = photo.relative_to(setting.data)
        photos.setdefault(inside.parts[0] if len(inside.parts) > 1 else ".", []).append(photo)
    if len(photos) < 2:
        return {}
    return {name: evaluation.only(set(photos[name])) for name in sorted(photos)}


def _parts_table(parts: Mapping[str, Evaluation]) -> list[str]:
    """The table of the data folder's parts; none where there are no parts."""
    columns = ("psnr", "delta_e_76", "delta_e_2000", "colourfulness")
    headings = [_HEADINGS[metric].split(",")[0] for metric in columns]
    differences = [f"PSNR - that of {_NAMES[name]}" for name in ("gray", "mean_ab")]
    rows = [["part", "photos", *headings, "of the originals", *differences]]
    for name, part in parts.items():
        means = part.means("model")
        figures = [f"{means[metric]:.{_DIGITS[metric]}f}" for metric in columns]
        truth = f"{part.colourfulness_truth.mean():.{_DIGITS['colourfulness']}f}"
        gains = [_cell(part.intervals(other)["psnr"], "psnr", "+") for other in ("gray", "mean_ab")]
        rows.append([name, str(len(part.photos)), *figures, truth, *gains])
    return [_table(rows)] if parts else []


def _explanation(evaluation: Evaluation, setting: Setting) -> str:
    (truth,) = mean_intervals(evaluation.colourfulness_truth[:, None])
    sentences = [
        f"Colourfulness of the originals: {_cell(truth, 'colourfulness', '')}."
        f" In brackets: {LEVEL:.0%} bootstrap intervals over photos ({RESAMPLES:,} resamples,"
        f" seed {SEED}); those of differences are paired: both on the same resamples."
    ]
    if evaluation.kid:
        sentences.append(
            f"KID (unbiased, polynomial kernel) over features of {setting.kid_features},"
            f" {kid_bootstrap.RESAMPLES:,} resamples."
        )
    if evaluation.fid:
        sentences.append(
            "FID over features of Keras's InceptionV3, without an interval: it is biased upwards"
            " for few photos."
        )
    return " ".join(sentences)


def _bands_table(evaluation: Evaluation, metric: str) -> str:
    bands = BANDS[metric]
    predictors = _shown(evaluation)
    heading = _HEADINGS[metric].split(",")[0]
    columns = [
        mean_intervals(bands.members(evaluation.values[name][metric])) for name in predictors
    ]
    rows = [[heading, "the report's band", *map(_name, predictors)]]
    for row, (label, meaning) in enumerate(zip(bands.labels, bands.meanings, strict=True)):
        rows.append([label, meaning, *(_share(column[row]) for column in columns)])
    return _table(rows)


def _shown(evaluation: Evaluation) -> tuple[str, ...]:
    """The predictors in the order of the tables."""
    return ("model", *evaluation.against, "gray", "mean_ab")


def _name(predictor: str) -> str:
    return _NAMES.get(predictor, predictor)


def _cell(interval: Interval, metric: str, sign: str) -> str:
    return _bracketed(interval, _SCALES.get(metric, 1.0), _DIGITS[metric], sign)


def _share(interval: Interval) -> str:
    return _bracketed(interval, 100.0, 1, "", "%")


def _bracketed(interval: Interval, scale: float, digits: int, sign: str, unit: str = "") -> str:
    # Adding 0 after rounding keeps a vanishing value from being shown as -0.00.
    mean, low, high = (
        f"{np.round(scale * value, digits) + 0.0:{sign}.{digits}f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean}{unit} [{low}, {high}]"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Lays out a Markdown table whose columns also line up as plain text."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
