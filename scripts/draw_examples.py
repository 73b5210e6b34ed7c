"""Draws the pictures of the documents: photos in gray, as a model colours them, and true.

A row for each colour photo: gray, faithful, vivid, true; then a row for each old photograph, which
has no true colours: itself, faithful, vivid. A model with one style has one column of its own.

FILE:LEFT,TOP,WIDTH shows a square of a photo that is coloured as a whole; the numbers are shares of
its width, and of its height for TOP.

Example: python scripts/draw_examples.py --photos samples/photos/val/skimage_*.jpg \\
    --old samples/historical/*.jpg --output docs/colorized.jpg
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, parse, run
from colorizer.files import replacing

if TYPE_CHECKING:
    from colorizer.inference import Colorizer

QUALITY = 85
_GAP = 4
_PART = re.compile(r"(?P<file>.+):(?P<left>[\d.]+),(?P<top>[\d.]+),(?P<width>[\d.]+)")


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    output: Path
    """The JPEG to write."""
    photos: tuple[Path, ...] = ()
    """Colour photos."""
    old: tuple[Path, ...] = ()
    """Photographs without true colours."""
    model: Path | None = None
    """Run folder or export. Left out: the weights that ship with the package."""
    side: int = Field(192, ge=16)
    """Height and width of each picture, in pixels."""


def draw(arguments: Arguments) -> Image.Image:
    """Draws the sheet."""
    from colorizer import load

    colorizer = load(arguments.model)
    rows = [_row(colorizer, path, arguments.side, True) for path in arguments.photos]
    rows += [_row(colorizer, path, arguments.side, False) for path in arguments.old]
    step = arguments.side + _GAP
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * step - _GAP, len(rows) * step - _GAP), "white")
    for top, row in enumerate(rows):
        for left, picture in enumerate(row):
            sheet.paste(picture, (left * step, top * step))
    return sheet


def _row(
    colorizer: "Colorizer", path: Path, side: int, has_true_colours: bool
) -> list[Image.Image]:
    part = _PART.fullmatch(str(path))

    def square(picture: Image.Image) -> Image.Image:
        if part is not None:
            left, width = (round(float(part[name]) * picture.width) for name in ("left", "width"))
            top = round(float(part["top"]) * picture.height)
            picture = picture.crop((left, top, left + width, top + width))
        return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)

    with Image.open(part["file"] if part else path) as opened:
        photo = opened.convert("RGB")
    gray = colorizer.colorize(square(photo), saturation=0.0)
    styles = colorizer.styles or (None,)
    coloured = [square(colorizer.colorize(photo, style=style)) for style in styles]
    return [gray, *coloured, *([square(photo)] if has_true_colours else [])]


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> None:
    arguments = parse(Arguments, prog="python scripts/draw_examples.py", description=__doc__ or "")
    import_tensorflow()
    sheet = draw(arguments)
    with replacing(arguments.output) as beside:
        sheet.save(beside, "JPEG", quality=QUALITY)
    print(arguments.output)


if __name__ == "__main__":
    main()
