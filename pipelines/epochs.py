"""Which photos an epoch shows, where some are shown more or less often than once."""

import numpy as np


def epoch_length(weights: np.ndarray) -> int:
    """The number of photos that every epoch shows at least.

    Args:
        weights: how many times an epoch shows each photo, on average, shape (N,).
    """
    values, counts = np.unique(weights, return_counts=True)
    return int(np.floor(values * counts + 1e-9).sum())


def photos_shown(weights: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The photos of an epoch, as sorted indices; one that is shown twice stands there twice.

    A photo of weight w is shown floor(w) or ceil(w) times, and over E epochs w E times to
    within one: a weight of 0.5 shows one half in this epoch and the other in the next. All
    follows from `seed` and `epoch`.

    Args:
        weights: how many times an epoch shows each photo, on average, shape (N,).
        seed: of the run.
        epoch: counted from 0.
    """
    random = np.random.default_rng([seed, len(weights)])
    phases = np.empty(len(weights))
    for value in np.unique(weights):
        (alike,) = np.nonzero(weights == value)
        # Evenly spread, so that epochs differ by one photo in length, not by chance.
        phases[alike] = (random.permutation(len(alike)) + 0.5) / len(alike)
    times = np.floor((epoch + 1) * weights + phases) - np.floor(epoch * weights + phases)
    return np.repeat(np.arange(len(weights)), times.astype(int))
