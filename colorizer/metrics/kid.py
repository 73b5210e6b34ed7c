"""KID, the kernel inception distance: how far a set of pictures is from a set of originals.

It is a distance between two sets of feature vectors, from any network that looks at pictures, and
not a mean over photos: every photo is compared with every other one. A Keras metric class would
have to hold all features until the end, in variables that grow, so there are functions only.
"""

from collections.abc import Sequence

import numpy as np

# Rows of the kernel matrices held at a time, so that memory grows with the photos and not with
# their square.
_ROWS_AT_ONCE = 1024


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gives k(x, y) = (x . y / d + 1)^3 of all pairs of rows: (N, d) and (M, d) to (N, M)."""
    base = x @ y.T / x.shape[1] + 1.0
    return base * base * base


def kid(real: np.ndarray, fake: np.ndarray) -> float:
    """Gives the unbiased squared MMD between features of originals and of their colourings.

    Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs" (2018), with their
    polynomial kernel. Both sets hold the same photos, so row i of `fake` belongs to row i of
    `real`, and only pairs i != j are of independent photos. A pair of the same photo is
    therefore left out of the cross term too: with

        h(i, j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)

    the result is the mean of h over all i != j, the U-statistic of Gretton et al., "A kernel
    two-sample test" (2012), lemma 6. It is 0 (to the last digits) for identical sets, and its
    expectation is the squared MMD, so it may be negative for sets that are hardly apart. Lower is
    better.

    Args:
        real: features of the originals, (N, d), N at least 2.
        fake: features of the colourings of the same photos, in the same order.

    Raises:
        ValueError: the shapes differ, there are fewer than 2 photos, or a feature is not finite.
    """
    return float(weighted_kids(real, [fake], np.ones((1, len(real))))[0, 0])


def weighted_kids(real: np.ndarray, fakes: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Gives `kid` of P colourings on each of B resamples of the photos, float64 (P, B).

    A photo that a resample holds twice is never paired with itself: with w its row of `counts`,
    the value is sum over i != j of w_i w_j h(i, j), divided by (sum w)^2 - sum w^2.

    Args:
        real: features of the originals, (N, d), N at least 2.
        fakes: P sets of features of colourings of the same photos, in the same order.
        counts: how often each resample holds each photo, (B, N); at least two photos each.

    Raises:
        ValueError: wrong shapes, a feature that is not finite, or a resample of one photo only.
    """
    checked = [_checked(real, fake) for fake in fakes]
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 2 or counts.shape[1] != len(real):
        raise ValueError(f"expected counts of shape (B, {len(real)}), got {counts.shape}")
    if not ((counts > 0).sum(axis=1) >= 2).all():
        raise ValueError("a resample holds fewer than 2 different photos")
    own = _kernel_means(checked[0][0], checked[0][0], counts)
    # h's two mixed terms have equal sums, since w_i w_j is the same either way round.
    return np.stack(
        [own + _kernel_means(y, y, counts) - 2.0 * _kernel_means(x, y, counts) for x, y in checked]
    )


def _kernel_means(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Gives the mean kernel over the pairs i != j of each resample, shape (B,)."""
    total = np.zeros(len(counts))
    for start in range(0, len(x), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        kernel = polynomial_kernel(x[rows], y)
        own = np.arange(len(kernel))
        kernel[own, start + own] = 0.0
        total += np.einsum("bn,bn->b", counts[:, rows] @ kernel, counts)
    return total / (counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1))


def _checked(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or real.shape != fake.shape or len(real) < 2:
        raise ValueError(
            f"expected features (N, d) of the same N >= 2 photos, got {real.shape} and {fake.shape}"
        )
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ValueError("features that are not finite")
    return real, fake
