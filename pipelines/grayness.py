"""Telling colour photos from gray, near-gray and toned ones.

A gray original teaches a network that its subject has no colour, and scores as a perfect
prediction of gray, so such photos are dropped before training and evaluation.
"""

import numpy as np

from pipelines.color import AB_RANGE

# Mean chroma, in Lab units, under which a photo counts as gray: JPEG noise and a cast of the
# scanner reach about 2.
GRAY_CHROMA = 3.0
# Root mean square distance of ab from the best curve over L, in Lab units. A toned print (sepia,
# cyanotype) has one ink: its ab follow from L. Chosen between toned prints of the 1860s and 1870s
# (0.1 to 2.7) and colour photos (99.6% of 6,000 lie above 2.8).
TONED_RESIDUAL = 2.8
_SAMPLES_PER_SIDE = 64


def why_gray(record: np.ndarray) -> str | None:
    """Says why a photo counts as having no colours of its own, or None where it has.

    Args:
        record: (lightness, a, b) scaled to [-1, 1], shape (height, width, 3), about square.
    """
    step = max(1, min(record.shape[:2]) // _SAMPLES_PER_SIDE)
    pixels = record[::step, ::step].reshape(-1, 3).astype(np.float64)
    lightness, ab = pixels[:, 0], pixels[:, 1:] * AB_RANGE
    if np.hypot(ab[:, 0], ab[:, 1]).mean() < GRAY_CHROMA:
        return "gray or nearly gray"
    if _distance_from_one_ink(lightness, ab) < TONED_RESIDUAL:
        return "toned monochrome"
    return None


def _distance_from_one_ink(lightness: np.ndarray, ab: np.ndarray) -> float:
    """Fits a and b as cubic functions of lightness; returns the RMS distance from them."""
    powers = np.vander(lightness, 4)
    # The normal equations: a 4x4 problem, ten times faster than that over all pixels.
    coefficients, *_ = np.linalg.lstsq(powers.T @ powers, powers.T @ ab, rcond=None)
    return float(np.sqrt(((ab - powers @ coefficients) ** 2).sum(axis=1).mean()))
