"""Colours held steady from frame to frame: they follow motion, and start anew at a cut.

A network that sees one frame at a time guesses anew for each, and its guesses flicker. Here each
frame takes over what the frame before had at the place that a pixel came from, found by optical
flow (DIS: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") on the small gray
pictures that the network sees. Where the two frames do not fit there (uncovered background, a
wrong flow), the network's new guess counts.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# The share of its new guess that a pixel takes in each frame where it is recognised: what a wrong
# guess leaves behind halves every seven frames.
NEW_SHARE = 0.1
# Differences in gray levels, after both frames' brightness is levelled: recognised for sure, and
# not at all. Film grain shrunk to the network's size stays below the first.
SURE, LOST = 8.0, 32.0
# A cut: less than this part of the picture is recognised.
CUT_BELOW = 0.4


@dataclass(frozen=True)
class Motion:
    """How a frame goes on from the one before.

    Attributes:
        sources: float32 (S, S, 2): where each pixel was, (x, y) in pixels.
        recognised: float32 (S, S) in [0, 1]: how sure that is.
    """

    sources: np.ndarray
    recognised: np.ndarray

    @property
    def is_cut(self) -> bool:
        """Whether another scene begins with this frame."""
        return float(self.recognised.mean()) < CUT_BELOW


class MotionFinder:
    """Finds the motion between small gray frames, uint8 (S, S)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, before: np.ndarray, now: np.ndarray) -> Motion:
        """Finds where each pixel of `now` was in `before`."""
        sources = self._flow.calc(now, before, None)
        height, width = now.shape
        sources += _places(height, width)
        warped = warp(before, sources)
        difference = now.astype(np.float32) - warped
        # Old films flicker as a whole; that is no reason not to recognise anything.
        difference -= np.median(difference)
        strangeness = cv2.blur(np.abs(difference), (5, 5))
        recognised = np.clip((LOST - strangeness) / (LOST - SURE), 0.0, 1.0)
        inside = (
            (sources[..., 0] > -1)
            & (sources[..., 0] < width)
            & (sources[..., 1] > -1)
            & (sources[..., 1] < height)
        )
        return Motion(sources, recognised * inside)


def warp(picture: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Fetches each pixel of (S, S) or (S, S, C) from its place in `sources`, bilinearly."""
    return cv2.remap(picture, sources, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def steadied(guess: np.ndarray, before: np.ndarray, motion: Motion) -> np.ndarray:
    """Mixes a frame's own guess with the colours that it takes over.

    Args:
        guess: the network's ab for this frame, float32 (S, S, 2).
        before: the ab that the frame before was painted with.
        motion: between the two.

    Returns:
        float32 (S, S, 2).
    """
    kept = (1.0 - NEW_SHARE) * motion.recognised[..., None]
    return guess + kept * (warp(before, motion.sources) - guess)


def _places(height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)
