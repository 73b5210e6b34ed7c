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


class NotWrittenError(ColorizerError):
    """A file or folder that cannot be written: a full disk, a read-only one, a broken one.

    Attributes:
        path: what was to be written.
        error: what the system said.
        reason: the same in words.
    """

    def __init__(self, path: Path | str, error: Exception) -> None:
        strerror = error.strerror if isinstance(error, OSError) else None
        # TensorFlow tells the way that an error came, and the reason last.
        told = strerror or str(error).strip().rpartition("; ")[2] or type(error).__name__
        self.path, self.error = Path(path), error
        self.reason = f"cannot be written: {told.splitlines()[0]}"
        super().__init__(f"{path}: {self.reason}")


class NoPhotosError(ColorizerError):
    """A folder that holds no usable photo."""


class WorkerLostError(ColorizerError):
    """Another worker of a training on several machines is gone. Commands exit with 75.

    That is EX_TEMPFAIL of sysexits.h: the same command, with --resume, may succeed.
    """
