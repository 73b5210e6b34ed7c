"""Where a builder reads photos from: a folder, or a ZIP archive as Kaggle hands it out."""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.errors import NoPhotosError, PhotoError
from pipelines.photo_files import JPEG_SUFFIXES, find_jpegs

_CHUNK = 1 << 20


class PhotoSource(Protocol):
    """JPEG files by name; `names` are sorted, with slashes between folders."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Reads a file.

        Raises:
            PhotoError: it cannot be read.
        """

    def described(self) -> dict[str, Any]:
        """Says what the source is, for the metadata of what is built from it."""


class FolderSource:
    """The `.jpg` and `.jpeg` files below a folder, named relative to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = tuple(file.relative_to(path).as_posix() for file in find_jpegs(path))

    def read(self, name: str) -> bytes:
        """Reads a file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise PhotoError(name, f"cannot be read: {error.strerror or error}") from None

    def described(self) -> dict[str, Any]:
        """Names the folder."""
        return {"folder": self.path.name}


class ArchiveSource:
    """The `.jpg` and `.jpeg` files in a ZIP archive, which is read in place.

    Raises:
        NoPhotosError: the file is no ZIP archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise NoPhotosError(f"{path}: cannot be read as a ZIP archive: {error}") from None
        files = (info.filename for info in self._archive.infolist() if not info.is_dir())
        self.names = tuple(sorted(name for name in files if _is_jpeg(name)))

    def read(self, name: str) -> bytes:
        """Reads a file, whose checksum in the archive must be right."""
        try:
            return self._archive.read(name)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise PhotoError(name, f"damaged in the archive: {error}") from None

    def described(self) -> dict[str, Any]:
        """Gives the archive's name, size and SHA-256."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        size = self.path.stat().st_size
        return {"archive": self.path.name, "bytes": size, "sha256": digest.hexdigest()}


def find_source(manual_dir: Path, places: Sequence[str]) -> PhotoSource:
    """Opens the first of `places` that lies in `manual_dir`.

    Args:
        manual_dir: where tfds keeps what was downloaded by hand.
        places: names of folders, and of archives, which end in `.zip`.

    Raises:
        NoPhotosError: there is none of them, or it holds no photo.
    """
    for place in places:
        path = manual_dir / place
        if path.is_dir() or path.is_file():
            source = ArchiveSource(path) if path.is_file() else FolderSource(path)
            if not source.names:
                raise NoPhotosError(f"{path}: holds no .jpg or .jpeg file")
            return source
    raise NoPhotosError(f"{manual_dir}: holds none of {', '.join(places)}")


def _is_jpeg(name: str) -> bool:
    path = Path(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in JPEG_SUFFIXES and not hidden
