"""Photos in requests, checked before they are decoded and settled before the graph sees them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from colorizer.images.formats import HEAD_BYTES, kind_of
from colorizer.images.reading import decode_photo
from models_export.serving.statuses import invalid
from pipelines.errors import PhotoError
from pipelines.photo_files import MAX_PIXELS

# The input of `colorize_bytes`.
INPUT = "image_bytes"
_PLAIN_MODES = ("L", "RGB")
_ORIENTATION = 0x0112


def settled(photos: np.ndarray, max_pixels: int) -> np.ndarray:
    """Gives photos as the graph wants them: upright 8-bit sRGB, JPEG or PNG.

    Those that are so already stay as they are, byte for byte; others (turned by EXIF, with a
    colour profile or alpha, 16 bits, CMYK, WebP, TIFF, ...) become PNG.

    Args:
        photos: encoded files, an array of `bytes` objects.
        max_pixels: photos whose header claims more are refused before anything is decoded.

    Raises:
        ServingError: one is no photo, damaged or too large; the message names its number.
    """
    result = np.empty(photos.shape, object)
    for place, content in np.ndenumerate(photos):
        with _named(place):
            result[place] = settled_photo(content, max_pixels)
    return result


def check_whole(photos: np.ndarray) -> None:
    """Decodes photos, to find the one that a graph has stumbled over.

    Raises:
        ServingError: one is damaged; the message names its number.
    """
    for place, content in np.ndenumerate(photos):
        with _named(place):
            decode_photo(io.BytesIO(content), INPUT)


@contextmanager
def _named(place: tuple[int, ...]) -> Iterator[None]:
    try:
        yield
    except PhotoError as error:
        number = "".join(f"[{index}]" for index in place)
        raise invalid(f"{INPUT}{number}: {error.reason}") from error


def settled_photo(content: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """Does the same for one photo.

    Raises:
        PhotoError: it is none, damaged or too large.
    """
    if _is_plain(content, max_pixels):
        return content
    photo = decode_photo(io.BytesIO(content), INPUT)
    encoded = io.BytesIO()
    photo.image.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _is_plain(content: bytes, max_pixels: int) -> bool:
    """Looks at the header alone.

    Raises:
        PhotoError: it claims too many pixels.
    """
    if kind_of(content[:HEAD_BYTES]) not in ("JPEG", "PNG"):
        return False
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PhotoError(
                    INPUT, f"claims {width} x {height} pixels; the limit is {max_pixels}"
                )
            turned = image.getexif().get(_ORIENTATION, 1) != 1
            plain = image.mode in _PLAIN_MODES and "transparency" not in image.info
            return plain and not turned and "icc_profile" not in image.info
    except PhotoError:
        raise
    except Exception:
        # Its full reading says in words what is wrong.
        return False
