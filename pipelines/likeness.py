"""Telling that two photos are copies of one: resized, compressed anew, brightened, mirrored."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from PIL import Image

NEAR = 4
"""Bits of 64 in which the hashes of two copies of one photo may differ."""

# Two hashes that differ in `NEAR` bits at most are equal in one of so many bands at least.
_BANDS = np.array_split(np.arange(64), NEAR + 1)
_THUMBNAIL_SIDE = 16
# Correlation of thumbnails from which two photos of near hashes count as copies. Of 34 pairs of
# near hashes among 6,858 different photos, most of them faces, the likest two reach 0.948
# (benchmarks/photo_copies.py).
_LEAST_CORRELATION = 0.96


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


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Says how alike two pictures are, uint8 (S, S, 3): the correlation of their thumbnails."""
    one, other = (_standardized(_thumbnail(Image.fromarray(picture))) for picture in (left, right))
    return float((one * other).mean())


class NearHashes:
    """64-bit hashes, to find those within `NEAR` bits of one without going through all.

    They are looked up by bands of their bits (Norouzi et al. 2012, multi-index hashing).
    """

    def __init__(self) -> None:
        self._hashes: list[int] = []
        self._by_band: list[dict[int, list[int]]] = [defaultdict(list) for _ in _BANDS]

    def add(self, code: int) -> None:
        """Adds a hash; they are numbered from 0."""
        for known, band in zip(self._by_band, _bands(code), strict=True):
            known[band].append(len(self._hashes))
        self._hashes.append(code)

    def near(self, code: int) -> list[int]:
        """The numbers of the hashes that differ from `code` in `NEAR` bits at most, sorted."""
        candidates: set[int] = set()
        for known, band in zip(self._by_band, _bands(code), strict=True):
            candidates.update(known.get(band, ()))
        return sorted(i for i in candidates if (self._hashes[i] ^ code).bit_count() <= NEAR)


class SeenPhotos:
    """Square photos by their looks, to find copies among many.

    A copy has a near dHash, and a thumbnail that correlates: aligned faces and bare skies have
    near hashes without being copies. A photo takes 1 kB.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._thumbnails: list[np.ndarray] = []
        self._hashes = NearHashes()

    def copy_of(self, picture: np.ndarray) -> str | None:
        """Names a photo added earlier that `picture`, uint8 (S, S, 3), or its mirror image copies.

        Returns:
            None where there is none.
        """
        image = Image.fromarray(picture)
        for seen in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
            thumbnail = _standardized(_thumbnail(seen))
            for index in self._hashes.near(_hash(seen.convert("L"))):
                alike = (thumbnail * _standardized(self._thumbnails[index])).mean()
                if alike >= _LEAST_CORRELATION:
                    return self._names[index]
        return None

    def add(self, name: str, picture: np.ndarray) -> None:
        """Remembers a photo, uint8 (S, S, 3), under its name."""
        image = Image.fromarray(picture)
        self._names.append(name)
        self._thumbnails.append(_thumbnail(image))
        self._hashes.add(_hash(image.convert("L")))


def _hash(gray: Image.Image) -> int:
    small = np.asarray(gray.resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def _bands(code: int) -> Iterator[int]:
    for bits in _BANDS:
        yield (code >> int(bits[0])) & ((1 << len(bits)) - 1)


def _thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX))


def _standardized(thumbnail: np.ndarray) -> np.ndarray:
    centred = thumbnail - thumbnail.mean(dtype=np.float64)
    return centred / max(float(centred.std()), 1e-6)
