"""Cuts packed mosaics of small photos into single JPEG files that `colorizer.fit` can read.

A folder of mosaics holds pictures of tiles, row by row, and index.tsv with one line a tile: the
mosaic's file, the tile's number in it, the path of the photo that it was made from. A tile is
written as OUTPUT/<folder of the source>/<its name>.jpg, at quality 95 without chroma subsampling:
to save it a second time costs it nothing that training could see. Files that are there are kept.

Example: python scripts/unpack_mosaics.py --mosaics photos_tiny --output tiny
"""

import csv
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from colorizer.command import note, parse, run
from colorizer.files import replacing
from pipelines.errors import ColorizerError

INDEX = "index.tsv"
QUALITY = 95


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mosaics: Path
    """Folder with the mosaics and their index.tsv."""
    output: Path
    """Folder to write the photos to."""
    side: int = Field(64, ge=1)
    """Side of a tile, in pixels."""


class Tile(NamedTuple):
    """One line of the index."""

    mosaic: str
    number: int
    target: PurePosixPath


def unpack(mosaics: Path, output: Path, side: int) -> int:
    """Writes every tile that is not there yet; returns how many were written.

    Raises:
        ColorizerError: the index or a mosaic is missing, damaged, or does not fit the other.
    """
    tiles = list(_read_index(mosaics / INDEX))
    if len({tile.target for tile in tiles}) < len(tiles):
        raise ColorizerError(f"{mosaics / INDEX}: two tiles come from photos of the same name")
    written = 0
    with tqdm(total=len(tiles), desc="unpacking", unit="photo", file=sys.stderr) as bar:
        for name, of_mosaic in groupby(tiles, key=lambda tile: tile.mosaic):
            group = list(of_mosaic)
            missing = [tile for tile in group if not (output / tile.target).exists()]
            if missing:
                _cut(mosaics / name, missing, output, side)
            written += len(missing)
            bar.update(len(group))
    return written


def _read_index(path: Path) -> Iterator[Tile]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.reader(file, delimiter="\t"), start=1):
                yield _tile(path, line, row)
    except OSError as error:
        raise ColorizerError(f"{path}: {error.strerror or error}") from error


def _tile(path: Path, line: int, row: list[str]) -> Tile:
    if len(row) != 3 or not row[1].isdecimal() or "/" in row[0]:
        raise ColorizerError(f"{path}: line {line} is not mosaic, tile, source path")
    source = PurePosixPath(row[2])
    if not source.stem or source.is_absolute() or ".." in source.parts:
        raise ColorizerError(f"{path}: line {line} has no sane source path: {row[2]}")
    kind = source.stem.split("_")[0]
    return Tile(row[0], int(row[1]), PurePosixPath(kind, f"{source.stem}.jpg"))


def _cut(path: Path, tiles: list[Tile], output: Path, side: int) -> None:
    try:
        with Image.open(path) as opened:
            mosaic = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ColorizerError(f"{path}: cannot be read: {error}") from error
    columns, rows = mosaic.width // side, mosaic.height // side
    for tile in tiles:
        if tile.number >= columns * rows:
            raise ColorizerError(f"{path}: has {columns * rows} tiles, none is {tile.number}")
        left, top = side * (tile.number % columns), side * (tile.number // columns)
        target = output / tile.target
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as beside:
            picture = mosaic.crop((left, top, left + side, top + side))
            picture.save(beside, "JPEG", quality=QUALITY, subsampling=0)


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> None:
    arguments = parse(Arguments, prog="python scripts/unpack_mosaics.py", description=__doc__ or "")
    written = unpack(arguments.mosaics, arguments.output, arguments.side)
    note(f"{written} photos written to {arguments.output}")


if __name__ == "__main__":
    main()
