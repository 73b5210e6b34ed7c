"""The results of an evaluation in words and figures: JSON and Markdown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from colorizer.evaluation.bands import BANDS
from colorizer.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, Interval
from colorizer.evaluation.evaluation import METRICS, PREDICTORS, Evaluation
from pipelines.photo_files import Rejection

_HEADINGS = {
    "psnr": "PSNR (dB), higher is better",
    "delta_e_76": "CIE76, lower is better",
    "delta_e_2000": "CIEDE2000, lower is better",
    "ssim": "SSIM, higher is better",
    "colourfulness": "colourfulness",
}
_NAMES = {"model": "model", "gray": "gray (ab = 0)", "mean_ab": "training set's mean ab"}
_DIGITS = {"psnr": 2, "delta_e_76": 2, "delta_e_2000": 2, "ssim": 4, "colourfulness": 1}


@dataclass(frozen=True)
class Setting:
    """What was evaluated on what.

    Attributes:
        model: where the model was loaded from.
        data: the folder of photos.
        image_size: side of the square pictures that were compared.
        resize: how photos were made square.
        skipped: the files left out: gray originals and broken ones.
    """

    model: Path | str
    data: Path
    image_size: int
    resize: str
    skipped: tuple[Rejection, ...]

    def name(self, photo: Path) -> str:
        """Gives the name of a photo within the data folder."""
        return str(photo.relative_to(self.data))


def results_json(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """Gives all results as plain values.

    The model's means stand at the top, those of the baselines under "gray" and "mean_ab";
    "bands" are shares of images, "intervals" those of the paired differences, "photos" the
    model's values per image.
    """
    model = _scores(evaluation, setting, "model")
    return {
        "model": str(setting.model),
        "data": str(setting.data),
        "image_size": setting.image_size,
        "resize": setting.resize,
        **model,
        "gray": _scores(evaluation, setting, "gray"),
        "mean_ab": {**_scores(evaluation, setting, "mean_ab"), "ab": list(evaluation.mean_ab)},
        "intervals": {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": SEED,
            "model_minus_gray": _interval_values(evaluation.intervals("gray")),
            "model_minus_mean_ab": _interval_values(evaluation.intervals("mean_ab")),
        },
        "photos": _per_photo(evaluation, setting),
        "skipped_files": [
            {"file": setting.name(item.path), "reason": item.reason} for item in setting.skipped
        ],
    }


def results_markdown(evaluation: Evaluation, setting: Setting) -> str:
    """Gives the tables in Markdown: the metrics with their intervals, and the report's bands."""
    truth = evaluation.colourfulness_truth.mean()
    parts = [
        f"{setting.model} on {setting.data}: {len(evaluation.photos)} photos"
        f" ({len(setting.skipped)} gray or broken files skipped),"
        f" {setting.image_size}x{setting.image_size} ({setting.resize}), mean per image",
        _metrics_table(evaluation),
        f"Colourfulness of the originals: {truth:.1f}. In brackets: {LEVEL:.0%} bootstrap"
        f" interval of the paired difference ({RESAMPLES:,} resamples, seed {SEED}).",
        *(_bands_table(evaluation, metric) for metric in BANDS),
    ]
    return "\n\n".join(parts) + "\n"


def _scores(evaluation: Evaluation, setting: Setting, predictor: str) -> dict[str, Any]:
    return {
        **evaluation.means(predictor),
        "colourfulness_truth": float(evaluation.colourfulness_truth.mean()),
        "images": len(evaluation.photos),
        "skipped": len(setting.skipped),
        "bands": {
            metric: bands.shares(evaluation.values[predictor][metric])
            for metric, bands in BANDS.items()
        },
    }


def _interval_values(intervals: dict[str, Interval]) -> dict[str, Any]:
    return {metric: asdict(interval) for metric, interval in intervals.items()}


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
    rows = [["", *(_HEADINGS[metric] for metric in METRICS)]]
    for predictor in PREDICTORS:
        means = evaluation.means(predictor)
        cells = [f"{means[metric]:.{_DIGITS[metric]}f}" for metric in METRICS]
        rows.append([_NAMES[predictor], *cells])
    for baseline in PREDICTORS[1:]:
        intervals = evaluation.intervals(baseline)
        cells = [_difference(intervals[metric], _DIGITS[metric]) for metric in METRICS]
        rows.append([f"model - {_NAMES[baseline]}", *cells])
    return _table(rows)


def _difference(interval: Interval, digits: int) -> str:
    return f"{interval.mean:+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"


def _bands_table(evaluation: Evaluation, metric: str) -> str:
    bands = BANDS[metric]
    shares = {name: bands.shares(evaluation.values[name][metric]) for name in PREDICTORS}
    heading = _HEADINGS[metric].split(",")[0]
    rows = [[heading, "the report's band", *(_NAMES[name] for name in PREDICTORS)]]
    for label, meaning in zip(bands.labels, bands.meanings, strict=True):
        rows.append([label, meaning, *(f"{shares[name][label]:.1%}" for name in PREDICTORS)])
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Lays out a Markdown table whose columns also line up as plain text."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
