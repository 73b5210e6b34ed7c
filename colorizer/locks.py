"""Locks on files and folders, which the kernel takes back when a process ends, however it ends.

On Windows, and on file systems that know no locks, nothing is locked.
"""

import errno
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from colorizer.command import note
from pipelines.errors import ColorizerError, NotWrittenError

# Part of the name of a file or folder that is not whole yet; only a kill -9 leaves one behind.
PARTIAL = ".partial"
_PARTIAL_NAME = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(PARTIAL)}(\.\w+)?")

if sys.platform == "win32":

    def lock(descriptor: int) -> None:
        """Raises OSError: there are no locks here."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

else:
    import fcntl

    def lock(descriptor: int) -> None:
        """Locks an open file or folder.

        Raises:
            BlockingIOError: somebody else holds it.
            OSError: there are no locks here.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def used_alone(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same out of `folder` while the body runs.

    What is locked is a file `.lock` in it, which is gone afterwards. One that a killed process left
    is not locked, and in nobody's way.

    Raises:
        ColorizerError: another process uses the folder.
        NotWrittenError: the folder cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except BlockingIOError:
        raise ColorizerError(f"{folder}: another process is at work in it") from None
    except OSError as error:
        raise NotWrittenError(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor)
            there = os.path.samestat(os.fstat(descriptor), path.stat())
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:
            there = False
        except OSError as error:
            note(f"{path.parent}: cannot be locked ({error.strerror}): use it once at a time")
            return descriptor
        if there:
            return descriptor
        # Whoever held it has removed it meanwhile.
        os.close(descriptor)


def partial_path(folder: Path, suffix: str = "") -> Path:
    """Gives a new name in `folder` for what is not whole yet, to be `marked` once it is there.

    What killed processes have left in `folder` is removed first, once a process.
    """
    _sweep(folder)
    return folder / f".{uuid.uuid4().hex}{PARTIAL}{suffix}"


@contextmanager
def marked(path: Path) -> Iterator[None]:
    """Marks a file or folder that is not whole yet as somebody's, while the body runs."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Where there are no locks nothing is removed either.
        with suppress(OSError):
            lock(descriptor)
        yield
    finally:
        os.close(descriptor)


@cache
def _sweep(folder: Path) -> None:
    for path in [one for one in folder.iterdir() if _PARTIAL_NAME.fullmatch(one.name)]:
        # Gone meanwhile, or somebody's: it stays.
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                lock(descriptor)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)
