"""From the command line's files, folders and globs to a list of photos."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colorizer.films.formats import is_film
from colorizer.images.formats import is_photo
from pipelines.errors import PhotoError, UsageError


@dataclass(frozen=True)
class Source:
    """One photo to be coloured.

    Attributes:
        path: its file, as named or found.
        kept: its path below the folder that was named, such as `summer/lake.jpg`; for a file
            that was named itself, its name.
    """

    path: Path
    kept: Path


@dataclass
class Found:
    """What the inputs hold.

    Attributes:
        sources: the photos, in order, each once.
        passed_over: files in folders that are photos neither by name nor by content.
        errors: inputs that lead nowhere.
    """

    sources: list[Source] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)
    errors: list[PhotoError] = field(default_factory=list)


def find_sources(inputs: Sequence[str], output: Path, *, films: bool = False) -> Found:
    """Finds the photos that `inputs` name, with `films` also the films.

    A folder is searched with its sub-folders. Hidden files in it (`.DS_Store`, `._lake.jpg`) are
    passed over, and `output`, should it lie inside, is not searched. A glob, `**` included,
    stands for what it matches, as if the shell had expanded it; a name that exists is never
    taken for one.

    Raises:
        UsageError: `output` is itself a folder that is named.
    """
    found = Found()
    seen: set[str] = set()
    for name in inputs:
        matches = _matches(name)
        if not matches:
            reason = "matches nothing" if glob.has_magic(name) else "no such file or folder"
            found.errors.append(PhotoError(name, reason))
        for path in matches:
            sources = _in_folder(path, output, found, films) if path.is_dir() else _named(path)
            for source in sources:
                place = os.path.abspath(source.path)  # noqa: PTH100  (resolve() follows links)
                if place not in seen:
                    seen.add(place)
                    found.sources.append(source)
    return found


def _matches(name: str) -> list[Path]:
    if os.path.lexists(name):
        return [Path(name)]
    if not glob.has_magic(name):
        return []
    return [Path(match) for match in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207


def _named(path: Path) -> Iterator[Source]:
    yield Source(path, Path(path.name))


def _in_folder(folder: Path, output: Path, found: Found, films: bool) -> Iterator[Source]:
    if output.is_dir() and output.samefile(folder):
        # Its results would be the inputs of the next run.
        raise UsageError(f"--output {output}: is a folder of photos to colour; choose another")
    # Folders may be links, even to where they stand: each is entered once.
    entered = {_identity(output)} if output.is_dir() else set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            if _identity(current) in entered:
                continue
            entered.add(_identity(current))
            entries = sorted(current.iterdir())
            folders = [entry for entry in entries if entry.is_dir()]
        except OSError as error:
            found.errors.append(PhotoError(current, error.strerror or str(error)))
            continue
        waiting += reversed([entry for entry in folders if not _hidden(entry)])
        for entry in entries:
            if entry in folders:
                continue
            if not _hidden(entry) and ((films and is_film(entry)) or is_photo(entry)):
                yield Source(entry, entry.relative_to(folder))
            else:
                found.passed_over.append(entry)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
