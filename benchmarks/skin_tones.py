"""How far the colours of skin are off, by how light the skin is.

    python benchmarks/skin_tones.py --faces val/faces test/faces --learned train/faces

Each photo holds one face in its middle; skin is the middle of that face. How light it is, is told
by the individual typology angle, arctan((L - 50) / b) in degrees, of its median true Lab (Chardon,
Cretois and Hourseau 1991), with their limits: above 41 light, above 28 intermediate, above 10 tan,
below it brown and dark. Light and shade count as tone there: it speaks of pictures, not of people.
--learned only counts.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from colorizer.command import import_tensorflow, parse, run
from pipelines.errors import ColorizerError

if TYPE_CHECKING:
    from colorizer.inference import Colorizer

# Lower limits of the angle, in degrees.
BANDS = {"light": 41.0, "intermediate": 28.0, "tan": 10.0, "brown and dark": -180.0}
# The middle of a face: nose and cheeks, in shares of height and width.
ROWS, COLUMNS = (0.42, 0.58), (0.3, 0.7)
RESAMPLES, SEED = 10_000, 0


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    faces: tuple[Path, ...]
    """Folders of colour photos of a face each, that the network has not learned from."""
    learned: tuple[Path, ...] = ()
    """Folders of those that it has."""
    model: Path | None = None
    """Run folder or export. Left out: the weights that ship with the package."""


class Skin(NamedTuple):
    """Median Lab of the skin of one photo, true and in each style."""

    true: np.ndarray
    predicted: dict[str, np.ndarray]


def band_of(lab: np.ndarray) -> str:
    """Names the band of a skin's Lab."""
    angle = np.degrees(np.arctan2(lab[0] - 50.0, lab[2]))
    return next(name for name, least in BANDS.items() if angle > least)


def skin_lab(photo: Image.Image) -> np.ndarray:
    """Gives the median Lab of the middle of a face, float32 (3,)."""
    from pipelines.color import rgb_to_lab

    width, height = photo.size
    (top, bottom), (left, right) = ROWS, COLUMNS
    middle = photo.crop((left * width, top * height, right * width, bottom * height))
    part = np.asarray(middle.convert("RGB"), np.float32) / 255
    return np.median(np.asarray(rgb_to_lab(part)).reshape(-1, 3), axis=0)


def measured(colorizer: "Colorizer", path: Path) -> Skin:
    """Colours a photo in each style, and leaves it gray to compare."""
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    styles = colorizer.styles or ("its own",)
    coloured = {
        style: colorizer.colorize(photo, style=style if colorizer.styles else None)
        for style in styles
    }
    true = skin_lab(photo)
    gray = true * np.array([1, 0, 0], np.float32)
    return Skin(true, {style: skin_lab(one) for style, one in coloured.items()} | {"gray": gray})


def rows(skins: list[Skin], learned: list[str]) -> list[str]:
    """Writes the table: a row for each band and style."""
    from pipelines.color_difference import delta_e_2000

    head = "| skin | photos, of those learned from | style | CIEDE2000 | chroma, predicted - true |"
    lines = [head, "| --- | ---: | --- | ---: | ---: |"]
    for band in BANDS:
        own = [skin for skin in skins if band_of(skin.true) == band]
        share = f"{len(own)}, {learned.count(band) / max(1, len(learned)):.0%}"
        for style in own[0].predicted if own else ():
            true = np.stack([skin.true for skin in own])
            predicted = np.stack([skin.predicted[style] for skin in own])
            errors = np.asarray(delta_e_2000(true, predicted))
            chroma = np.hypot(*predicted.T[1:]) - np.hypot(*true.T[1:])
            lines.append(f"| {band} | {share} | {style} | {_mean(errors)} | {_mean(chroma, '+')} |")
    return lines


def _mean(values: np.ndarray, sign: str = "") -> str:
    """A mean with its 95% bootstrap interval over photos."""
    draws = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
    return f"{values.mean():{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _photos(folders: tuple[Path, ...]) -> list[Path]:
    from pipelines.photo_files import find_jpegs

    return [path for folder in folders for path in find_jpegs(folder)]


def _command() -> None:
    arguments = parse(Arguments, prog="python benchmarks/skin_tones.py", description=__doc__ or "")
    import_tensorflow()
    from colorizer import load

    paths = _photos(arguments.faces)
    if not paths:
        raise ColorizerError(f"{arguments.faces[0]}: holds no .jpg or .jpeg file")
    colorizer = load(arguments.model)
    learned = []
    for path in _photos(arguments.learned):
        with Image.open(path) as photo:
            learned.append(band_of(skin_lab(photo)))
    print("\n".join(rows([measured(colorizer, path) for path in paths], learned)))


if __name__ == "__main__":
    run(_command)
