"""Photos read from files: recognised by content, upright, 8-bit sRGB, or a clear error."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from colorizer.images.conversion import to_srgb, upright
from colorizer.images.formats import HEAD_BYTES, kind_of
from colorizer.images.metadata import kept_exif, kept_resolution
from pipelines.errors import ColorizerError, PhotoError
from pipelines.machine_made import is_machine_made
from pipelines.photo_files import MAX_PIXELS

_limit_lock = threading.Lock()


class _ThreadsWarnings:
    """Records the warnings of each thread for itself.

    `warnings.catch_warnings` alone replaces what all threads share: photos that are decoded at once
    would get each other's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()
        self._at_work = 0

    @contextmanager
    def recorded(self) -> Iterator[list[warnings.WarningMessage]]:
        """Yields a list that takes all warnings of this thread."""
        with self._lock:
            if self._at_work == 0:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("always")
                self._show, warnings.showwarning = warnings.showwarning, self._take
            self._at_work += 1
        caught: list[warnings.WarningMessage] = []
        self._here.caught = caught
        try:
            yield caught
        finally:
            del self._here.caught
            with self._lock:
                self._at_work -= 1
                if self._at_work == 0:
                    self._before.__exit__(None, None, None)

    def _take(self, *warning: Any, **further: Any) -> None:
        if (caught := getattr(self._here, "caught", None)) is None:
            self._show(*warning, **further)
        else:
            caught.append(warnings.WarningMessage(*warning, **further))


_decoder_warnings = _ThreadsWarnings()


@dataclass(frozen=True)
class Photo:
    """One photo, ready for a network.

    Attributes:
        path: its file, or the name that it came with.
        image: upright 8-bit sRGB, mode "RGB".
        exif: the metadata worth keeping, encoded; without orientation and thumbnail.
        resolution: pixels per inch, where the file says so.
        notes: what was decided on the way, in words, one line each.
    """

    path: Path
    image: Image.Image
    exif: bytes
    resolution: float | None
    notes: tuple[str, ...]


def read_photo(path: Path) -> Photo:
    """Reads JPEG, PNG, TIFF, WebP, GIF, BMP and, with the extra `heic`, HEIC.

    The content decides, not the name. EXIF orientation is applied, colour profiles are
    converted to sRGB, 16 bits are scaled to 8, transparent parts are laid on white. Of an
    animation or of several pages the first is taken.

    Raises:
        PhotoError: it cannot be opened, is no image, is damaged or cut off, or claims more
            than `MAX_PIXELS`; the last is known from its header, before anything is decoded.
    """
    if path.exists() and not path.is_file():
        raise PhotoError(path, "is not a regular file")
    try:
        with path.open("rb") as file:
            return decode_photo(file, path)
    except OSError as error:
        raise PhotoError(path, error.strerror or str(error)) from error


def decode_photo(file: BinaryIO, name: Path | str) -> Photo:
    """Reads a photo from a seekable binary file; `name` stands in messages. See `read_photo`."""
    notes: list[str] = []
    with _decoder_warnings.recorded() as caught:
        try:
            image = _opened(file, name)
            _check_size(image, name)
            image.load()
            _note_frames(image, notes)
            if is_machine_made(image):
                notes.append("says that a model has made its colours already")
            exif, resolution = kept_exif(image, notes), kept_resolution(image)
            rgb = upright(to_srgb(image, notes), image, notes)
        except PhotoError:
            raise
        except ColorizerError as error:
            raise PhotoError(name, str(error)) from error
        except MemoryError as error:
            raise PhotoError(name, "is too large for the memory of this machine") from error
        # Whatever a decoder stumbles over in a damaged file (its plugins raise struct.error,
        # SyntaxError, KeyError and others) is that file's fault, and the other photos go on.
        except Exception as error:
            raise PhotoError(name, f"is damaged or cut off ({_words(error)})") from error
    notes += _as_notes(caught)
    return Photo(Path(name), rgb, exif, resolution, tuple(dict.fromkeys(notes)))


def _opened(file: BinaryIO, name: Path | str) -> Image.Image:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise PhotoError(name, "is empty (0 bytes)")
    kind = kind_of(head)
    if kind is None:
        raise PhotoError(name, "is not an image: neither JPEG, PNG, TIFF, WebP, GIF, BMP nor HEIC")
    if kind == "HEIF":
        _register_heif(name)
    with _own_pixel_limit():
        return Image.open(file, formats=[kind])


def _register_heif(name: Path | str) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        reason = "is a HEIC photo: to read it, pip install 'photo-colorizer[heic]'"
        raise PhotoError(name, reason) from error
    pillow_heif.register_heif_opener()


@contextmanager
def _own_pixel_limit() -> Iterator[None]:
    """Puts Pillow's own limit aside while a header is read: `_check_size` asks the question."""
    with _limit_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(image: Image.Image, name: Path | str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PhotoError(
            name,
            f"claims {width} x {height} pixels; the limit is {MAX_PIXELS // 1_000_000} million",
        )


def _note_frames(image: Image.Image, notes: list[str]) -> None:
    # A phone's MPO holds previews and depth maps beside the photo: nothing is lost there.
    if image.format in ("GIF", "TIFF", "WEBP") and getattr(image, "is_animated", False):
        notes.append("holds several pictures: the first is taken")


def _as_notes(caught: list[warnings.WarningMessage]) -> list[str]:
    """Turns a decoder's warnings on the file into notes; those on our code go on as they are."""
    notes = []
    for warning in caught:
        if issubclass(warning.category, (DeprecationWarning, ResourceWarning)):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        else:
            notes.append(f"decoder's warning: {_words(warning.message)}")
    return notes


def _words(error: object) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its header is damaged or of a rare kind"
    return " ".join(str(error).split()) or type(error).__name__
