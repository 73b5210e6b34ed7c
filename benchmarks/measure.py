"""Wall time, CPU time and peak memory of any command, over several runs.

Example: python benchmarks/measure.py --runs 5 python -m colorizer.fit --help

Peak memory is the resident set of the largest process, as the kernel counted it.
"""

import platform
import resource
import statistics
import subprocess
import sys
import time
from typing import Annotated

import tyro
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import note, parse, run


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tyro.conf.Positional[tuple[str, ...]]
    """The command and its arguments; after `--` where they begin with dashes."""
    runs: Annotated[int, Field(ge=1)] = 1
    """How often to run it."""


def measure(command: tuple[str, ...]) -> tuple[float, float]:
    """Runs `command` with its output thrown away; returns wall and CPU seconds.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _command() -> None:
    arguments = parse(
        Arguments,
        prog="python benchmarks/measure.py",
        description="Measure wall time, CPU time and peak memory of a command.",
    )
    words = tuple(sys.executable if word == "python" else word for word in arguments.command)
    figures = [measure(words) for _ in range(arguments.runs)]
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if platform.system() == "Darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**30
    note(" ".join(arguments.command))
    for name, values in zip(("wall", "CPU"), zip(*figures, strict=True), strict=True):
        print(
            f"{name}: median {statistics.median(values):.2f} s,"
            f" {min(values):.2f} to {max(values):.2f}"
        )
    print(f"peak memory: {peak:.2f} GiB")


if __name__ == "__main__":
    run(_command)
