"""Which files are films, and what their coloured ones are called."""

from pathlib import Path

from pipelines.errors import ColorizerError

# H.264 has its place in the first three; the other two become Matroska, which takes any sound.
_RESULTS = {
    ".mp4": ".mp4",
    ".m4v": ".mp4",
    ".mov": ".mov",
    ".mkv": ".mkv",
    ".webm": ".mkv",
    ".avi": ".mkv",
}
SUFFIXES = frozenset(_RESULTS)


def is_film(path: Path) -> bool:
    """Whether a file is a film by its name; pipes and devices are none."""
    return path.suffix.lower() in SUFFIXES and (path.is_file() or not path.exists())


def result_suffix(path: Path) -> str:
    """The suffix of a film's coloured version, ".mp4", ".mov" or ".mkv"."""
    return _RESULTS[path.suffix.lower()]


def require_extra() -> None:
    """Makes sure that what films need is installed.

    Raises:
        ColorizerError: it is not; the message names the command that installs it.
    """
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
    except ImportError as error:
        raise ColorizerError("to colour films, pip install 'photo-colorizer[video]'") from error
