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
_LEAST_SPREAD = 1e-6
_RIDGE = 1e-6


def why_gray(lightness: np.ndarray, ab: np.ndarray, one: float = 1.0) -> list[str | None]:
    """Says why photos count as having no colours of their own, or None where they have.

    Args:
        lightness: shape (N, height, width, 1), about square.
        ab: shape (N, height, width, 2).
        one: the value that stands for 1 where both are scaled to [-1, 1].
    """
    step = max(1, min(lightness.shape[1:3]) // _SAMPLES_PER_SIDE)
    samples = np.concatenate([lightness[:, ::step, ::step], ab[:, ::step, ::step]], axis=-1)
    # Planes of float32: the sums below run over contiguous memory.
    planes = np.moveaxis(samples, -1, 0).astype(np.float32, order="C") / np.float32(one)
    tone, a, b = planes.reshape(3, len(lightness), -1)
    a, b = a * np.float32(AB_RANGE), b * np.float32(AB_RANGE)
    chroma = np.sqrt(a * a + b * b).mean(axis=1)
    residual = distance_from_one_ink(tone, np.stack([a, b], axis=1))
    return [_reason(*measured) for measured in zip(chroma, residual, strict=True)]


def _reason(chroma: float, residual: float) -> str | None:
    if chroma < GRAY_CHROMA:
        return "gray or nearly gray"
    if residual < TONED_RESIDUAL:
        return "toned monochrome"
    return None


def distance_from_one_ink(tone: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Fits a and b as cubic functions of lightness; returns the RMS distances from them.

    Args:
        tone: lightness in [-1, 1], shape (N, pixels).
        ab: shape (N, 2, pixels).
    """
    # About 0 with a spread of 1: the same curves, and sums that float32 can tell apart.
    tone = tone - tone.mean(axis=1, keepdims=True)
    tone /= np.sqrt((tone * tone).mean(axis=1, keepdims=True)) + _LEAST_SPREAD
    squares = tone * tone
    powers = np.stack([np.ones_like(tone), tone, squares, squares * tone], axis=1)
    # The normal equations: a 4x4 problem, ten times faster than that over all pixels. The small
    # ridge is for pictures of fewer than four tones, which leave them open.
    pixels = tone.shape[1]
    normal = (powers @ powers.transpose(0, 2, 1)).astype(np.float64) / pixels
    mixed = (powers @ ab.transpose(0, 2, 1)).astype(np.float64) / pixels
    coefficients = np.linalg.solve(normal + _RIDGE * np.eye(4), mixed)
    explained = (2.0 * mixed - normal @ coefficients) * coefficients
    left = (ab * ab).mean(axis=(1, 2)) * 2.0 - explained.sum(axis=(1, 2))
    return np.sqrt(np.maximum(left, 0.0))
