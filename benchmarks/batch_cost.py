"""Time a photo and memory of `models_export.batch` for archives of several sizes.

    PYTHONPATH=. python benchmarks/batch_cost.py --photos tiny --sizes 100 1000 10000

Each archive is made of links to the photos, which recur where there are too few. What a run costs
before its first photo (imports, the model, Beam) is told apart by the line through all sizes.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import numpy as np
from machine import describe_machine
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import parse, run
from pipelines.errors import ColorizerError
from pipelines.photo_files import find_jpegs

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


def measure(archive: Path, output: Path) -> tuple[float, float]:
    """Runs the job; gives wall seconds and the peak resident memory in MiB.

    Raises:
        ColorizerError: it failed.
    """
    command = [sys.executable, "-m", "models_export.batch", f"--input={archive}"]
    started = time.perf_counter()
    job = subprocess.Popen(
        [*command, f"--output={output}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(job.pid, 0)
    if status:
        raise ColorizerError(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def _command() -> None:
    arguments = parse(Arguments, prog="python benchmarks/batch_cost.py", description=__doc__ or "")
    photos = find_jpegs(arguments.photos)
    if not photos:
        raise ColorizerError(f"{arguments.photos}: holds no photos")
    print(f"{describe_machine()}; {len(os.sched_getaffinity(0))} cores")
    seconds = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            link(photos, size, Path(folder) / "archive")
            wall, memory = measure(Path(folder) / "archive", Path(folder) / "output")
        seconds.append(wall)
        print(f"{size} photos: {wall:.1f} s, peak memory {memory:.0f} MiB", flush=True)
    if len(seconds) > 1:
        slope, start = np.polyfit(arguments.sizes, seconds, 1)
        print(f"{1000 * slope:.2f} ms a photo after {start:.1f} s")
        for size, wall in zip(arguments.sizes, seconds, strict=True):
            print(f"{size} photos: {1000 * (wall - start) / size:.2f} ms each without the start")


if __name__ == "__main__":
    run(_command)
