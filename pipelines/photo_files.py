"""Finding JPEG files and looking at their headers, before anything is decoded."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipelines.errors import PhotoError
from pipelines.machine_made import is_machine_made

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
# The most pixels that a file may claim: above the largest phone cameras (16320 x 12240), and
# still small enough to be decoded in a GiB.
MAX_PIXELS = 200_000_000
EXIF_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class PhotoFile:
    """A JPEG file whose header is sound.

    Attributes:
        path: the file.
        orientation: EXIF orientation, 1 (upright) to 8.
        bytes: size of the file.
        weight: how many times an epoch of training shows it, on average.
    """

    path: Path
    orientation: int
    bytes: int
    weight: float = 1.0

    @property
    def state(self) -> tuple[str, int, int]:
        """Changes where the photo changes: name, size, time."""
        return str(self.path.absolute()), self.bytes, self.path.stat().st_mtime_ns


@dataclass(frozen=True)
class Rejection:
    """A file that is left out, and why."""

    path: Path
    reason: str


def find_jpegs(folder: Path) -> list[Path]:
    """Lists all `.jpg` and `.jpeg` files below `folder` (any letter case), sorted by path.

    Hidden files and folders (their names start with a dot) are passed over. What cannot be looked
    at, such as a link that leads nowhere, is listed: reading it will say why.
    """
    found: list[Path] = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(here, name) for name in names if not name.startswith("."))
        found.extend(file for file in files if file.suffix.lower() in JPEG_SUFFIXES)
    return sorted(found)


def inspect_header(path: Path) -> PhotoFile:
    """Reads the header of a JPEG file.

    Raises:
        PhotoError: the file is empty, unreadable, no JPEG whatever its name says, claims more
            than `MAX_PIXELS` pixels, or says that a model has made its colours.
    """
    with _told_of(path):
        return _inspected(path, path, path.stat().st_size)


def inspect_encoded(path: Path, encoded: bytes) -> PhotoFile:
    """Does the same for a file's bytes, which lie in an archive or a dataset under `path`.

    Raises:
        PhotoError: as `inspect_header` does.
    """
    with _told_of(path):
        return _inspected(path, BytesIO(encoded), len(encoded))


def _inspected(path: Path, source: Path | BytesIO, size: int) -> PhotoFile:
    if size == 0:
        raise PhotoError(path, "empty file")
    with warnings.catch_warnings():
        # Pillow warns of large pictures and odd EXIF; the limit here is our own.
        warnings.simplefilter("ignore")
        with Image.open(source) as image:
            return PhotoFile(path, _checked_orientation(path, image), size)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Turns what Pillow and the file system raise into a `PhotoError`."""
    try:
        yield
    except UnidentifiedImageError:
        raise PhotoError(path, "not an image, or its header is damaged") from None
    except Image.DecompressionBombError:
        raise PhotoError(path, _too_large()) from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(path, f"cannot be read: {reason}") from None


def inspect_headers(paths: list[Path]) -> Iterator[PhotoFile | Rejection]:
    """Reads the headers of `paths`; files that fail come as a `Rejection`."""
    for path in paths:
        try:
            yield inspect_header(path)
        except PhotoError as error:
            yield Rejection(path, error.reason)


def _checked_orientation(path: Path, image: Image.Image) -> int:
    if image.format not in ("JPEG", "MPO"):
        raise PhotoError(path, f"named JPEG but holds {image.format}")
    if image.width * image.height > MAX_PIXELS:
        raise PhotoError(path, _too_large())
    if is_machine_made(image):
        raise PhotoError(path, "says that a model has made its colours")
    orientation = image.getexif().get(EXIF_ORIENTATION_TAG, 1)
    return orientation if orientation in range(1, 9) else 1


def _too_large() -> str:
    return f"claims more than {MAX_PIXELS // 1_000_000} million pixels"
