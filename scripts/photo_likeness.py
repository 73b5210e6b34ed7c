"""Telling that two files show the same photo: as a whole (dHash), or a crop or zoom of it (ORB)."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

NEAR = 4
"""Bits of 64 in which the hashes of two copies of one photo may differ."""
_FEATURES = 500
# Keypoints that one shift, turn and zoom must explain before two pictures count as one scene.
# Photos of different sports agree in 6 (median), 9 (99%), 13 at most; a zoom of a photo in 84.
_AGREEING = 14


def hashes(picture: Image.Image) -> np.ndarray:
    """Gives the 64-bit dHash of a picture and of its middle square, uint64 (2,).

    A hash says of 8x8 places whether it gets lighter to the right (Krawetz, "Kind of like that").
    """
    gray = picture.convert("L")
    side = min(gray.size)
    left, top = (gray.width - side) // 2, (gray.height - side) // 2
    middle = gray.crop((left, top, left + side, top + side))
    return np.array([_hash(gray), _hash(middle)], np.uint64)


def mirrored_hashes(picture: Image.Image) -> np.ndarray:
    """Gives the same of the picture's mirror image."""
    return hashes(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def is_near(found: np.ndarray, known: np.ndarray) -> bool:
    """Whether one of the hashes `found` is that of a photo whose hash is among `known`."""
    distances = np.bitwise_count(found[:, None] ^ known[None])
    return bool((distances <= NEAR).any())


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


def _hash(gray: Image.Image) -> int:
    small = np.asarray(gray.resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")
