"""Telling that a picture is a crop or zoom of another (ORB)."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

_FEATURES = 500
# Keypoints that one shift, turn and zoom must explain before two pictures count as one scene.
# Photos of different sports agree in 6 (median), 9 (99%), 13 at most; a zoom of a photo in 84.
_AGREEING = 14


class Scene:
    """What of a picture is found again in crops and zooms of the same photo.

    Args:
        picture: the photo.
    """

    def __init__(self, picture: Image.Image) -> None:
        finder = cv2.ORB.create(nfeatures=_FEATURES, fastThreshold=5)
        points, self._codes = finder.detectAndCompute(np.asarray(picture.convert("L")), None)
        self._places = np.array([point.pt for point in points], np.float32)

    def is_in(self, others: Sequence["Scene"]) -> bool:
        """Whether one of the others shows the same, shifted, turned or zoomed."""
        return any(self.agreement(other) >= _AGREEING for other in others)

    def agreement(self, other: "Scene") -> int:
        """Counts the keypoints that one shift, turn and zoom takes to the other picture's."""
        if min(len(self._places), len(other._places)) < _AGREEING:
            return 0
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(self._codes, other._codes)
        if len(pairs) < _AGREEING:
            return 0
        here = self._places[[pair.queryIdx for pair in pairs]]
        there = other._places[[pair.trainIdx for pair in pairs]]
        cv2.setRNGSeed(0)
        _, agree = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=3.0)
        return 0 if agree is None else int(agree.sum())
