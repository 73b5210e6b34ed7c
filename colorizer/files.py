"""Files written whole or not at all: beside their place first, then renamed."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Part of the name of a file that is not whole yet; only a kill -9 leaves one behind.
PARTIAL = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` once the body succeeded.

    The temporary name keeps the suffix of `path`, as some writers go by it, but not its stem,
    which may be as long as a name can be. On any error the temporary file is removed and what
    stood at `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}{path.suffix}")
    try:
        yield beside
        with beside.open("r+b") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path`, whole or not at all.

    Bytes of a file name that are no UTF-8 come as `\\udcXX`, which JSON reads back.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
