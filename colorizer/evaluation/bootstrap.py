"""Bootstrap intervals of what is measured on a set of images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 0

# Drawn indices held at a time (8 bytes each), so that memory does not grow with the images.
_INDICES_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate on all images (a mean, as a rule) and the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_intervals(
    values: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Interval]:
    """Gives the percentile bootstrap interval of the mean of each column of `values`, (N, M).

    Rows (images) are drawn with replacement, the same ones for all columns; for paired
    differences, give the differences. Efron and Tibshirani, "An introduction to the bootstrap"
    (1993), chapter 13.

    Raises:
        ValueError: `values` is not of shape (N, M) or holds no rows.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"expected values of shape (N, M) with N > 0, got {values.shape}")
    means = np.concatenate(
        [counts @ values / len(values) for counts in resampled_counts(len(values), resamples, seed)]
    )
    return [
        percentile_interval(float(estimate), resampled, level=level)
        for estimate, resampled in zip(values.mean(axis=0), means.T, strict=True)
    ]


def resampled_counts(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws resamples of images with replacement, in blocks of rows of one array (B, N).

    A row says how often a resample holds each image. The rows follow from the seed and do not
    depend on the size of the blocks, which only keeps memory bounded.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _INDICES_AT_ONCE // images)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        counts = np.bincount(drawn.reshape(-1), minlength=rows * images)
        yield counts.reshape(rows, images).astype(np.float64)


def percentile_interval(
    estimate: float, resampled: np.ndarray, *, level: float = LEVEL
) -> Interval:
    """Gives the interval between the quantiles of `resampled`, shape (B,), that hold `level`."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return Interval(estimate, float(low), float(high))
