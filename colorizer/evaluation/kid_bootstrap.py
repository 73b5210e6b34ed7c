"""Bootstrap intervals of KID and of the paired difference of two KIDs, over photos."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from colorizer.evaluation.bootstrap import (
    LEVEL,
    SEED,
    Interval,
    percentile_interval,
    resampled_counts,
)
from colorizer.metrics.kid import weighted_kids

RESAMPLES = 2_000


@dataclass(frozen=True)
class ResampledKid:
    """KID of one predictor on all photos, and on each resample of them.

    Attributes:
        kid: KID on all photos, see `colorizer.metrics.kid.kid`.
        resampled: KID on each resample, shape (B,).
        seed: what the resamples were drawn from; equal seeds and shapes mean equal resamples.
    """

    kid: float
    resampled: np.ndarray
    seed: int

    def interval(self, *, level: float = LEVEL) -> Interval:
        """Gives the percentile interval of KID."""
        return percentile_interval(self.kid, self.resampled, level=level)

    def minus(self, other: "ResampledKid", *, level: float = LEVEL) -> Interval:
        """Gives the interval of the difference of two predictors over the same resamples.

        Raises:
            ValueError: `other` was drawn from another seed or in another number.
        """
        if (self.seed, len(self.resampled)) != (other.seed, len(other.resampled)):
            raise ValueError("cannot take the difference of KIDs over other resamples")
        differences = self.resampled - other.resampled
        return percentile_interval(self.kid - other.kid, differences, level=level)


def resample_kids(
    real: np.ndarray,
    fakes: Mapping[str, np.ndarray],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, ResampledKid]:
    """Measures KID of several predictors on all photos, and on the same resamples of them.

    A photo that is drawn twice is never paired with itself, so that resamples are no further
    from 0 on average than KID itself. Far from 0 the interval is the usual one; for sets that
    are hardly apart it comes out wider than it need be.

    Args:
        real: features of the originals, (N, d), N at least 2.
        fakes: features of each predictor's colourings of the same photos, in the same order.
        resamples: how many.
        seed: what they are drawn from.

    Raises:
        ValueError: the shapes differ, there are fewer than 2 photos, or a feature is not finite.
    """
    everything = np.ones((1, len(real)))
    counts = np.concatenate([everything, draw_counts(len(real), resamples, seed=seed)])
    values = weighted_kids(real, list(fakes.values()), counts)
    return {
        name: ResampledKid(float(row[0]), row[1:], seed)
        for name, row in zip(fakes, values, strict=True)
    }


def kid_interval(
    real: np.ndarray, fake: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """Gives KID with its bootstrap interval; arguments and errors as of `resample_kids`."""
    return resample_kids(real, {"": fake}, resamples=resamples, seed=seed)[""].interval()


def kid_difference_interval(
    real: np.ndarray,
    fake: np.ndarray,
    other: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Gives KID of `fake` minus KID of `other`, with the interval over the same resamples.

    All three hold features of the same photos, in the same order; errors as of `resample_kids`.
    """
    both = resample_kids(real, {"fake": fake, "other": other}, resamples=resamples, seed=seed)
    return both["fake"].minus(both["other"])


def draw_counts(photos: int, resamples: int, *, seed: int = SEED) -> np.ndarray:
    """Draws resamples of photos with replacement: how often each holds each, float64 (B, N).

    Draws of one and the same photo only, which have no pairs, are drawn again.

    Raises:
        ValueError: fewer than 2 photos.
    """
    if photos < 2:
        raise ValueError(f"expected at least 2 photos, got {photos}")
    counts = np.concatenate(list(resampled_counts(photos, resamples, seed)))
    while (single := counts.max(axis=1) == photos).any():
        seed += 1
        again = np.concatenate(list(resampled_counts(photos, int(single.sum()), seed)))
        counts[single] = again
    return counts
