"""Files written whole or not at all, and files that are verified when they are read."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from colorizer.locks import marked, partial_path
from pipelines.errors import ColorizerError, NotWrittenError


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` once the body succeeded.

    The temporary name keeps the suffix of `path`, as some writers go by it, but not its stem,
    which may be as long as a name can be. On any error the temporary file is removed and what
    stood at `path` stays as it was.

    Args:
        path: of the file.
        sync: whether to wait for the disk, so that not even a loss of power can leave a part of it.

    Raises:
        NotWrittenError: it cannot be written; any OSError of the body is taken for the reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = partial_path(path.parent, path.suffix)
        try:
            beside.touch(exist_ok=False)
            with marked(beside):
                yield beside
                if sync:
                    with beside.open("r+b") as file:
                        os.fsync(file.fileno())
                beside.replace(path)
        finally:
            # On a disk that has failed it cannot be removed either: why is told already.
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise NotWrittenError(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path`, whole or not at all; raises as `replacing`.

    Bytes of a file name that are no UTF-8 come as `\\udcXX`, which JSON reads back.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON to `path`, whole or not at all; raises as `replacing`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal.

    Raises:
        ColorizerError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ColorizerError(f"{path}: {error.strerror or error}") from error


def read_verified(path: Path, sha256: str) -> bytes:
    """Reads a file whose SHA-256, hexadecimal, is known.

    Raises:
        ColorizerError: it cannot be read, or is another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ColorizerError(f"{path}: {error.strerror or error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ColorizerError(f"{path}: is not the file known: SHA-256 {found}, not {sha256}")
    return content
