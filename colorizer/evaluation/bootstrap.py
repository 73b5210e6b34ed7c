"""Bootstrap intervals of a mean over images."""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 0

# Drawn indices held at a time (8 bytes each), so that memory does not grow with the images.
_INDICES_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its interval."""

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
    rng = np.random.default_rng(seed)
    count = len(values)
    step = max(1, _INDICES_AT_ONCE // count)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, step):
        drawn = rng.integers(0, count, (min(step, resamples - start), count))
        for column in range(values.shape[1]):
            means[start : start + len(drawn), column] = values[drawn, column].mean(axis=1)
    tail = (1.0 - level) / 2.0
    lows, highs = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return [
        Interval(float(mean), float(low), float(high))
        for mean, low, high in zip(values.mean(axis=0), lows, highs, strict=True)
    ]
