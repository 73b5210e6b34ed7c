"""Puts photos of several folders into one, by symbolic links, for `colorizer.fit --data`.

A folder named twice is linked twice, so that an epoch shows its photos twice. Of --halves every
second file is linked. The folder is made whole or not at all; one that is there is kept.

Example: python scripts/link_photos.py --whole train train --halves more/tinyin --output mix
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from colorizer.command import note, parse, run
from pipelines.errors import ColorizerError
from pipelines.photo_files import find_jpegs


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    whole: tuple[Path, ...] = ()
    """Folders of which all photos are taken."""
    halves: tuple[Path, ...] = ()
    """Folders of which every second photo is taken."""
    half: Literal["even", "odd"] = "even"
    """Which half that is: of the first file, the third, ... or of the second, the fourth, ..."""
    output: Path
    """The folder to make."""


def link(arguments: Arguments) -> int:
    """Makes the folder; returns how many photos are in it, 0 if it was there.

    Raises:
        ColorizerError: a folder holds no photos, or the links cannot be made.
    """
    output = arguments.output
    if output.exists():
        return 0
    first = 0 if arguments.half == "even" else 1
    taken = [(folder, _files(folder)) for folder in arguments.whole]
    taken += [(folder, _files(folder)[first::2]) for folder in arguments.halves]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            _link(taken, beside)
            beside.rename(output)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise ColorizerError(f"{output}: cannot be written: {error.strerror or error}") from error
    return sum(len(files) for _, files in taken)


def _files(folder: Path) -> list[Path]:
    files = find_jpegs(folder)
    if not files:
        raise ColorizerError(f"{folder}: holds no .jpg or .jpeg file")
    return files


def _link(taken: Sequence[tuple[Path, Sequence[Path]]], output: Path) -> None:
    for number, (folder, files) in enumerate(taken):
        for file in files:
            place = output / f"{number}_{folder.name}" / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> None:
    arguments = parse(Arguments, prog="python scripts/link_photos.py", description=__doc__ or "")
    count = link(arguments)
    note(f"{arguments.output}: {count} photos linked" if count else f"{arguments.output}: is there")


if __name__ == "__main__":
    main()
