"""Time a photo and memory of `models_export.batch` for archives of several sizes.

    python benchmarks/batch_cost.py --photos tiny --sizes 100 1000 10000

Each archive is made of links to the photos, which recur where there are too few. What a run costs
before its first photo (imports, the model, Beam) is told apart by the line through all sizes.
"""

import sys
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import numpy as np
from machine import describe_machine
from measure import measure
from pydantic import BaseModel, ConfigDict, Field
from step_sides import available_cores

from colorizer.command import import_tensorflow, parse, run

PHOTOS_A_FOLDER = 500


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photos: Path
    """Folder of JPEG photos, on the disk that holds `work`."""
    sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (100, 1000)
    """Photos of each archive."""
    work: Path = Path(tempfile.gettempdir())
    """Where archives and results are made, and removed again."""


def link(photos: Sequence[Path], count: int, archive: Path) -> None:
    """Makes an archive of `count` photos in sub-folders."""
    for i, photo in enumerate(islice(cycle(photos), count)):
        place = archive / f"{i // PHOTOS_A_FOLDER:05d}" / f"{i:08d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(photo)


def _command() -> None:
    arguments = parse(Arguments, prog="python benchmarks/batch_cost.py", description=__doc__ or "")
    import_tensorflow()
    from pipelines.preparation import choose_jpegs

    photos = choose_jpegs(arguments.photos)
    print(f"{describe_machine()}; {available_cores()} cores")
    seconds = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            link(photos, size, Path(folder) / "archive")
            ends = (f"--input={folder}/archive", f"--output={folder}/output")
            wall, _, memory = measure((sys.executable, "-m", "models_export.batch", *ends))
        seconds.append(wall)
        print(f"{size} photos: {wall:.1f} s, peak memory {1024 * memory:.0f} MiB", flush=True)
    if len(seconds) > 1:
        slope, start = np.polyfit(arguments.sizes, seconds, 1)
        print(f"{1000 * slope:.2f} ms a photo after {start:.1f} s")
        for size, wall in zip(arguments.sizes, seconds, strict=True):
            print(f"{size} photos: {1000 * (wall - start) / size:.2f} ms each without the start")


if __name__ == "__main__":
    run(_command)
