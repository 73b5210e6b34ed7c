"""Time a photo, of the clock and of the CPU, and memory of `models_export.batch` by archive size.

    python benchmarks/batch_cost.py --photos tiny --sizes 100 1000 10000

Each archive is made of links to the photos, which recur where there are too few. What a run costs
before its first photo (imports, the model, Beam) is told apart by the line through all sizes. Where
other work runs beside it, the CPU's time is what compares.
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
    runs = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            link(photos, size, Path(folder) / "archive")
            ends = (f"--input={folder}/archive", f"--output={folder}/output")
            figures = measure((sys.executable, "-m", "models_export.batch", *ends))
        runs.append(figures)
        print(
            f"{size} photos: {figures.wall:.1f} s, {figures.cpu:.1f} s of CPU, "
            f"peak memory {1024 * figures.memory:.0f} MiB",
            flush=True,
        )
    if len(runs) > 1:
        print_without_start("the clock", arguments.sizes, [figures.wall for figures in runs])
        print_without_start("the CPU", arguments.sizes, [figures.cpu for figures in runs])


def print_without_start(whose: str, sizes: Sequence[int], seconds: Sequence[float]) -> None:
    """Prints what a photo costs at each size, by a line through all of them."""
    slope, start = np.polyfit(sizes, seconds, 1)
    print(f"{whose}: {1000 * slope:.2f} ms a photo after {start:.1f} s")
    for size, taken in zip(sizes, seconds, strict=True):
        print(f"  {size} photos: {1000 * (taken - start) / size:.2f} ms each without the start")


if __name__ == "__main__":
    run(_command)
