"""The names of an archive, kept on disk, for a job that goes part by part.

Beam's runner for one machine keeps what travels between its stages in memory. A job on it is
therefore several pipelines, one after the other, each of which sees so many names only.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from apache_beam.io.filesystem import FileSystem
from apache_beam.io.filesystems import FileSystems

from colorizer.colorizing.outputs import clash_key
from colorizer.command import note
from models_export.batch_job.places import (
    MAGIC,
    Places,
    in_words,
    is_local,
    literally,
    printable,
)
from pipelines.errors import ColorizerError

_SCHEMA = """
CREATE TABLE names (key TEXT, is_result INTEGER, name TEXT, PRIMARY KEY (key, is_result, name))
WITHOUT ROWID
"""


class Part(NamedTuple):
    """Names that no other part's could clash with.

    Attributes:
        number: from 0.
        sources: paths of inputs.
        results: (key, name below the output) of files of the output that could be results.
    """

    number: int
    sources: list[str]
    results: list[tuple[str, str]]


class Listing:
    """All names of a job, sorted, on this machine's disk (in the folder that TMPDIR names).

    Args:
        places: where photos lie and results go.
        suffix: of results.

    Raises:
        ColorizerError: a place cannot be listed, or there is no room for the names.
    """

    def __init__(self, places: Places, suffix: str) -> None:
        # A database without a name is a file that is gone when the process ends, however it ends.
        self._names = sqlite3.connect("", isolation_level=None)
        try:
            self._names.execute(_SCHEMA)
            self._add(_sources(places))
            self._add(_results(places.output, suffix))
        except Exception as error:
            self.close()
            raise ColorizerError(f"the names cannot be listed: {in_words(error)}") from error

    def parts(self, most: int) -> Iterator[Part]:
        """Gives parts of at most `most` names, or of one group that clashes if it has more."""
        rows = self._names.execute("SELECT key, is_result, name FROM names ORDER BY key")
        part = Part(0, [], [])
        for key, group in groupby(rows, lambda row: row[0]):
            names = [(is_result, name) for _, is_result, name in group]
            held = len(part.sources) + len(part.results)
            if held and held + len(names) > most:
                if part.sources:
                    yield part
                part = Part(part.number + bool(part.sources), [], [])
            part.sources.extend(name for is_result, name in names if not is_result)
            part.results.extend((key, name) for is_result, name in names if is_result)
        if part.sources:
            yield part

    def close(self) -> None:
        """Closes the file."""
        self._names.close()

    def _add(self, rows: Iterable[tuple[str, bool, str]]) -> None:
        self._names.execute("BEGIN")
        self._names.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", rows)
        self._names.execute("COMMIT")


def result_of(path: str, size: int, output: str, suffix: str) -> tuple[str, str] | None:
    """(key, name below the output) of a file of the output, or None: it is no whole result.

    An empty file is what a machine that lost power leaves.
    """
    name = PurePosixPath(path.removeprefix(output))
    if name.suffix != suffix or not size:
        return None
    return clash_key(Path(name)), str(name)


def _sources(places: Places) -> Iterator[tuple[str, bool, str]]:
    for path, _ in _matches(places.root, places.pattern):
        if not path.startswith(places.output):
            kept = places.kept(path)
            yield clash_key(Path(kept)) if kept else path, False, path


def _results(output: str, suffix: str) -> Iterator[tuple[str, bool, str]]:
    for path, size in _matches(output, f"{literally(output)}**"):
        if result := result_of(path, size, output, suffix):
            yield result[0], True, result[1]


def _matches(folder: str, pattern: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes of the files below `folder` that match a pattern of Beam's."""
    if not is_local(folder):
        found = FileSystems.match([pattern])[0].metadata_list
        yield from ((printable(one.path), one.size_in_bytes) for one in found)
        return
    # Beam's own listing of local files is a list of objects, which grows with the archive.
    fits = re.compile(FileSystem.translate_pattern(pattern)).match
    paths = _below(folder) if MAGIC.search(pattern) else [pattern]
    for path in paths:
        if fits(path):
            # Gone meanwhile, or a link to nowhere.
            with suppress(OSError):
                yield printable(path), os.path.getsize(path)  # noqa: PTH202  (Beam's are strings)


def _below(folder: str) -> Iterator[str]:
    """Paths of the files below a folder; links to folders are not followed, as in Beam."""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not entry.is_dir():
                        yield entry.path
        except OSError as error:
            note(f"{error.filename}: is passed over: {in_words(error)}")
