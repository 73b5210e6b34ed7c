"""Integer version folders BASE/NAME/N, as TensorFlow Serving watches them.

A version is filled in a hidden folder beside its place and renamed once it is whole, so that a
server that polls BASE/NAME never sees half a model.
"""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from colorizer.locks import marked, partial_path
from pipelines.errors import ColorizerError, NotWrittenError, UsageError

# Servers leave this folder of a SavedModel alone: it is for what travels with a model.
EXTRA = "assets.extra"


def next_version(models: Path) -> int:
    """Returns one more than the highest version in `models`, 1 where there is none.

    Gaps stay gaps: servers load the highest number, and a new export is to be the one they load.
    """
    if not models.is_dir():
        return 1
    return 1 + max(
        (int(child.name) for child in models.iterdir() if _is_number(child.name)), default=0
    )


def check_place(output: Path, name: str, version: int | None) -> None:
    """Raises if `output`/`name`/`version` cannot become a new version folder.

    Raises:
        UsageError: `name` is not a plain folder name, or `version` is below 1.
        ColorizerError: the version exists already; versions are never overwritten.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"name must be letters, digits, '.', '_' and '-', got {name!r}")
    if version is None:
        return
    if version < 1:
        raise UsageError(f"version must be 1 or more, got {version}")
    folder = output / name / str(version)
    if folder.exists():
        raise ColorizerError(f"{folder}: this version exists already and is never overwritten")


def publish(output: Path, name: str, version: int | None, fill: Callable[[Path], None]) -> Path:
    """Makes a new version folder whole or not at all, and returns it.

    Args:
        output: the base folder; made where it is missing.
        name: the model's name, one folder below `output`.
        version: the version's number; None takes `next_version`.
        fill: writes everything into the empty folder that it is given, and may check it. If it
            raises, whatever was made is removed again.

    Raises:
        UsageError, ColorizerError: as `check_place`.
        NotWrittenError: the folder cannot be made; any OSError of `fill` is taken for the reason.
    """
    check_place(output, name, version)
    models = output / name
    missing = [folder for folder in (models, *models.parents) if not folder.exists()]
    try:
        models.mkdir(parents=True, exist_ok=True)
        beside = partial_path(models)
        beside.mkdir()
        try:
            with marked(beside):
                fill(beside)
                _sync(beside)
                return _place(beside, output, name, version)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except NotWrittenError as error:
        # The hidden folder that it names is gone.
        raise NotWrittenError(models, error.error) from error
    except OSError as error:
        raise NotWrittenError(models, error) from error
    finally:
        _remove_empty(missing)


def _place(beside: Path, output: Path, name: str, version: int | None) -> Path:
    """Renames to the version's folder; where another export took the number, to the next."""
    while True:
        check_place(output, name, version)
        number = next_version(output / name) if version is None else version
        folder = output / name / str(number)
        try:
            return beside.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            # Never made, or something has been put there, by this export or another: it stays.
            return


def _sync(folder: Path) -> None:
    """Brings every file to the disk, so that a power cut cannot leave a whole name half empty."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()
