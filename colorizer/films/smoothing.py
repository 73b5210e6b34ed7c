"""Colours held steady from frame to frame: they follow motion, and start anew at a cut.

A network that sees one frame at a time guesses anew for each, and its guesses flicker. Here each
frame takes over what the frame before had at the place that a pixel came from, found by optical
flow (DIS: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") on the small gray
pictures that the network sees. Where the two frames do not fit there (uncovered background, a
wrong flow), the network's new guess counts.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

# The share of its new guess that a pixel takes in each frame that the network sees, where it is
# recognised: what a wrong guess leaves behind halves every two of them, sixteen frames as a rule.
NEW_SHARE = 0.3
# Differences in gray levels, after both frames' brightness is levelled: recognised for sure, and
# not at all. Film grain shrunk to the network's size stays below the first.
SURE, LOST = 8.0, 32.0
# The median of the difference is that of each so many-th pixel of each so many-th row.
MEDIAN_STEP = 4
# A cut: less than this part of the picture is recognised.
CUT_BELOW = 0.4
_FIRST = float(np.nextafter(np.float32(-1), np.float32(0)))


@dataclass(frozen=True)
class Motion:
    """How a frame goes on from the one before.

    Attributes:
        sources: float32 (S, S, 2): where each pixel was, (x, y) in pixels.
        recognised: float32 (S, S) in [0, 1]: how sure that is.
    """

    sources: np.ndarray
    recognised: np.ndarray

    @cached_property
    def recognised_share(self) -> float:
        """The part of the picture that is recognised."""
        return float(self.recognised.mean())

    @property
    def is_cut(self) -> bool:
        """Whether another scene begins with this frame."""
        return self.recognised_share < CUT_BELOW


class MotionFinder:
    """Finds the motion between small gray frames, uint8 (S, S)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def between(self, before: np.ndarray, now: np.ndarray) -> Motion:
        """Finds where each pixel of `now` was in `before`."""
        sources = self._flow.calc(now, before, None)
        height, width = now.shape
        sources += _places(height, width)
        warped = warp(before, sources)
        difference = cv2.subtract(now, warped, dtype=cv2.CV_32F)
        # Old films flicker as a whole; that is no reason not to recognise anything.
        difference -= np.median(difference[::MEDIAN_STEP, ::MEDIAN_STEP])
        recognised = cv2.blur(cv2.absdiff(difference, 0.0), (5, 5))
        np.subtract(LOST, recognised, out=recognised)
        recognised /= LOST - SURE
        np.clip(recognised, 0.0, 1.0, out=recognised)
        # Bounds that `inRange` counts as inside.
        last = (float(np.nextafter(np.float32(side), np.float32(0))) for side in (width, height))
        inside = cv2.inRange(sources, (_FIRST, _FIRST, 0, 0), (*last, 0, 0))
        recognised[inside == 0] = 0
        return Motion(sources, recognised)


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
    mixed = warp(before, motion.sources)
    mixed -= guess
    mixed *= cv2.merge([motion.recognised, motion.recognised])
    mixed *= 1.0 - NEW_SHARE
    mixed += guess
    return mixed


@cache
def _places(height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)
