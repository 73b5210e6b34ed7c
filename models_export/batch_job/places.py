"""Where photos lie and where their results go, on any file system that Beam knows."""

import glob
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from colorizer.files import replacing
from colorizer.locks import PARTIAL
from pipelines.errors import ColorizerError, NotWrittenError, PhotoError, UsageError
from pipelines.photo_files import MAX_PIXELS

# What `MAX_PIXELS` take uncompressed, with 16 bits and alpha: a larger file is no photo for us.
MAX_BYTES = 8 * MAX_PIXELS

# The names, without numbers and suffix, of what a run leaves beside the photos.
ERRORS, NOTES, SUMMARY = REPORTS = ("errors", "notes", "summary")
# The reports of parts of a job, until they are whole; a name that is cleared with Beam's own.
PARTS = "beam-temp-parts/"

# What makes a pattern of a path.
MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Places:
    """The two ends of a job.

    Attributes:
        root: folder, ending in "/", below which the inputs lie; names are kept from there on.
        pattern: a glob in Beam's sense (`*` stays within a folder, `**` does not) for them.
        output: folder of the results, ending in "/".
    """

    root: str
    pattern: str
    output: str

    def kept(self, path: str) -> PurePosixPath | None:
        """The path of an input below the root; None for what is hidden, or in a hidden folder."""
        below = path.removeprefix(self.root)
        if below == path:
            return None  # `literally` lets a ] pass for a [.
        hidden = any(part.startswith(".") for part in below.split("/"))
        # Some object stores hold empty objects in place of folders.
        if hidden or below.endswith("/"):
            return None
        return PurePosixPath(below)


def places(source: str, output: str) -> Places:
    """Reads the command line's input, a file, a folder or a glob, and its output folder.

    Raises:
        UsageError: the output is the folder of the inputs, or holds it; there is no file system
            for one of them.
    """
    source, output = _absolute(source), _absolute(output).rstrip("/") + "/"
    magic = MAGIC.search(source)
    if magic and not FileSystems.exists(source):
        root, pattern = source[: magic.start()], source
    elif _is_file(source):
        root, pattern = source, literally(source)
    else:
        root = source.rstrip("/") + "/"
        pattern = f"{literally(root)}**"
    root = root.rpartition("/")[0] + "/"
    if _real(root).startswith(_real(output)):
        # Its results would be the inputs of the next run.
        raise UsageError(f"--output {output}: holds the photos to colour; choose another")
    return Places(root, pattern, output)


def read_bytes(path: str) -> bytes:
    """Reads a file.

    Raises:
        PhotoError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    content = read_head(path, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PhotoError(path, f"is larger than {MAX_BYTES // 1_000_000} MB")
    return content


def read_head(path: str, count: int) -> bytes:
    """Reads the first `count` bytes of a file.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            head: bytes = file.read(count)
    # Each cloud's client raises its own kinds.
    except Exception as error:
        raise PhotoError(path, f"cannot be read: {in_words(error)}") from error
    return head


def write_whole(path: str, content: bytes) -> None:
    """Writes a file whole or not at all; what stands there is replaced.

    An object of an object store appears when it is whole. Elsewhere a file is written beside its
    place and then renamed; only a kill -9 leaves the former behind, with a hidden name.

    Raises:
        PhotoError: it cannot be written.
    """
    if is_local(path):
        try:
            # What a loss of power leaves empty the next run takes for missing.
            with replacing(Path(path), sync=False) as beside_it:
                beside_it.write_bytes(content)
        except NotWrittenError as error:
            raise PhotoError(path, error.reason) from error
        return
    filesystem = FileSystems.get_filesystem(path)
    beside = path
    if filesystem.has_dirs():
        folder, name = path.rsplit("/", 1)
        beside = f"{folder}/.{uuid.uuid4().hex}{PARTIAL}{PurePosixPath(name).suffix}"
    try:
        with FileSystems.create(beside, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(content)
        if beside != path:
            _rename(beside, path, len(content))
    except Exception as error:
        if beside != path and FileSystems.exists(beside):
            FileSystems.delete([beside])
        raise PhotoError(path, f"cannot be written: {in_words(error)}") from error


def prepared(output: str) -> None:
    """Makes the output folder and deletes an earlier run's reports, also half-written ones.

    Raises:
        ColorizerError: it cannot be made.
    """
    try:
        # Object stores have no folders to make.
        if FileSystems.get_filesystem(output).has_dirs() and not FileSystems.exists(output):
            FileSystems.mkdirs(output)
        for name in REPORTS:
            if found := _matches(_report(output, name)):
                FileSystems.delete(found)
        delete_temporary(output)
    except Exception as error:
        raise ColorizerError(f"{output}: cannot be written: {in_words(error)}") from error


def report_lines(output: str, name: str) -> Iterator[str]:
    """The lines of a report's files, in order; none where there is no such file."""
    for path in _matches(_report(output, name)):
        with FileSystems.open(path) as file:
            yield from file.read().decode().splitlines()


def printable(path: str) -> str:
    """A path in UTF-8, all that Beam's coders know; what is none goes on in escapes, to fail."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def move_report(folder: str, name: str, output: str) -> None:
    """Moves a report's files, where there are any, to another folder; both end in "/".

    Raises:
        ColorizerError: it cannot be written.
    """
    try:
        if found := _matches(_report(folder, name)):
            FileSystems.rename(found, [output + path.removeprefix(folder) for path in found])
    except Exception as error:
        raise ColorizerError(f"{output}: cannot be written: {in_words(error)}") from error


@contextmanager
def temporary_deleted(output: str) -> Iterator[None]:
    """Calls `delete_temporary` in the end.

    Raises:
        ColorizerError: the body succeeded, and something cannot be deleted.
    """
    try:
        yield
    except BaseException:
        # On a disk that has failed nothing can be deleted either; what failed first is told.
        with suppress(Exception):
            delete_temporary(output)
        raise
    try:
        delete_temporary(output)
    except Exception as error:
        raise ColorizerError(f"{output}: cannot be cleared: {in_words(error)}") from error


def delete_temporary(output: str) -> None:
    """Deletes what Beam, and a job in parts, keep in the output while they run."""
    if found := _matches(f"{literally(output)}beam-temp-*/**"):
        FileSystems.delete(found)
    # Folders, where there are such, are no matches of Beam's.
    if empty := glob.glob(f"{glob.escape(output)}beam-temp-*"):  # noqa: PTH207
        FileSystems.delete(empty)


def in_words(error: BaseException) -> str:
    """One line that says what went wrong."""
    known = system_error(error)
    return " ".join(str(known.strerror if known else error).split()) or type(error).__name__


def system_error(error: BaseException | None) -> OSError | None:
    """What the system said, where that is what an error of Beam's file systems is about."""
    while isinstance(error, OSError):
        if error.strerror:
            return error
        details = getattr(error, "exception_details", None) or {}
        error = next(iter(details.values()), error.__context__)
    return None


def is_local(path: str) -> bool:
    """Whether a path is this machine's, and no address of another file system."""
    return "://" not in path


def literally(path: str) -> str:
    """A pattern of Beam's that matches `path` itself."""
    # Not [[]: Python warns of a regular expression that looks like a set in a set.
    return glob.escape(path).replace("[[]", "[][]")


def _report(output: str, name: str) -> str:
    return f"{literally(output)}{name}*.json*"


def _matches(pattern: str) -> list[str]:
    return [found.path for found in FileSystems.match([pattern])[0].metadata_list]


def _rename(beside: str, path: str, size: int) -> None:
    try:
        FileSystems.rename([beside], [path])
    except Exception:
        # HDFS renames onto nothing that exists: another attempt at the same photo was first.
        if not (FileSystems.exists(path) and FileSystems.get_filesystem(path).size(path) == size):
            raise
        FileSystems.delete([beside])


def _absolute(path: str) -> str:
    # Workers have other current folders.
    try:
        FileSystems.get_filesystem(path)
    except ValueError as error:
        raise UsageError(f"{path}: {in_words(error)}") from error
    return os.path.abspath(path) if is_local(path) else path  # noqa: PTH100  (follows no links)


def _is_file(path: str) -> bool:
    if not is_local(path):
        return not path.endswith("/") and bool(FileSystems.exists(path))
    return os.path.isfile(path)  # noqa: PTH113  (Beam's paths are strings)


def _real(folder: str) -> str:
    return os.path.realpath(folder) + "/" if is_local(folder) else folder
