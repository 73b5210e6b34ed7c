"""The errors that a user can cause: each message is one clear line."""

from pathlib import Path


class ColorizerError(Exception):
    """An expected failure. Commands print its message as one line and exit with 1."""


class UsageError(ColorizerError):
    """Arguments that contradict each other or the files they name. Commands exit with 2."""


class PhotoError(ColorizerError):
    """One photo that cannot be used.

    Attributes:
        path: the photo's file.
        reason: why it cannot be used, in words.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class NoPhotosError(ColorizerError):
    """A folder that holds no usable photo."""


class WorkerLostError(ColorizerError):
    """Another worker of a training on several machines is gone. Commands exit with 75.

    That is EX_TEMPFAIL of sysexits.h: the same command, with --resume, may succeed.
    """
