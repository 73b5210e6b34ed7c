"""Colour hints: points of a photo whose colour somebody knows, or wishes."""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, TypeAdapter
from pydantic import ValidationError as Invalid

from colorizer.colorizing.inputs import Source
from pipelines.errors import ColorizerError, UsageError

# x and y as shares of the photo, and sRGB in [0, 255].
Point = tuple[float, float, float, float, float]

_SHARE = re.compile(r"(\d+(?:\.\d*)?)\s*%")


def _place(value: Any) -> int | float | str:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return value
    if isinstance(value, str) and (share := _SHARE.fullmatch(value)) and float(share[1]) <= 100:
        return value
    raise ValueError('must be a number of pixels, 0 or more, or a share such as "37.5%"')


Place = Annotated[int | float | str, BeforeValidator(_place)]


class Hint(BaseModel):
    """A point of a photo and its colour.

    Attributes:
        x: from the left: a number of pixels (0 is the first one), or a share of the width, "0%" to
            "100%".
        y: from the top, likewise.
        colour: "#rrggbb", sRGB. Its lightness is not looked at: the photo keeps its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: Place
    y: Place
    colour: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]


def points(hints: Sequence[Hint], width: int, height: int) -> list[Point]:
    """Gives hints as numbers that do not depend on the photo's size.

    Args:
        hints: on the upright photo.
        width: of the photo, in pixels.
        height: of the photo, in pixels.

    Raises:
        ColorizerError: a hint lies outside the photo.
    """
    placed = []
    for number, hint in enumerate(hints, start=1):
        x, y = _share(hint.x, width), _share(hint.y, height)
        if max(x, y) > 1:
            raise ColorizerError(
                f"hint {number} at {hint.x}, {hint.y} lies outside the {width} x {height} pixels"
            )
        red, green, blue = bytes.fromhex(hint.colour[1:])
        placed.append((x, y, float(red), float(green), float(blue)))
    return placed


def _share(place: int | float | str, side: int) -> float:
    """The middle of the pixel for a number of pixels."""
    if isinstance(place, str):
        return float(place.rstrip("% ")) / 100
    return (place + 0.5) / side


class HintsFile:
    """Hints for several photos, as a JSON file holds them.

        {"lake.jpg": [{"x": 120, "y": 80, "colour": "#2f6db5"}, {"x": "50%", "y": "90%", ...}]}

    A photo is named by its path below the folder that was named (`summer/lake.jpg`), or as it was
    named itself, with or without its folders.

    Args:
        path: the file.

    Raises:
        ColorizerError: it cannot be read, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._hints = _FILE.validate_json(path.read_bytes())
        except OSError as error:
            raise ColorizerError(f"{path}: cannot be read: {error.strerror or error}") from error
        except Invalid as error:
            raise ColorizerError(f"{path}: {_first(error)}") from error

    def of(self, source: Source) -> Sequence[Hint]:
        """The hints of a photo; none where the file does not name it."""
        return next((self._hints[name] for name in _names(source) if name in self._hints), ())

    def check_names(self, sources: Iterable[Source]) -> None:
        """Sees to it that no name is mistyped.

        Raises:
            UsageError: the file names a photo that is not among `sources`.
        """
        unknown = set(self._hints).difference(*map(_names, sources))
        if unknown:
            raise UsageError(f"--hints {self.path}: {min(unknown)!r} is none of the photos")


_FILE = TypeAdapter(dict[str, list[Hint]])


def _names(source: Source) -> tuple[str, str]:
    return source.kept.as_posix(), source.path.as_posix()


def _first(error: Invalid) -> str:
    """The first of pydantic's complaints, with its place, on one line."""
    wrong = error.errors()[0]
    place = ", ".join(
        f"hint {part + 1}" if isinstance(part, int) else part for part in wrong["loc"]
    )
    words = wrong["msg"].removeprefix("Value error, ")
    return f"{place}: {words}" if place else words
