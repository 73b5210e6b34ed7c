"""Wall time, CPU time and peak memory of any command, over several runs.

Example: python benchmarks/measure.py --runs 5 python -m colorizer.fit --help

Peak memory is the resident set of the largest process, as the kernel counted it.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

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


class Figures(NamedTuple):
    """What a command took: wall and CPU seconds, and peak memory in GiB."""

    wall: float
    cpu: float
    memory: float


def measure(command: Sequence[str | Path]) -> Figures:
    """Runs `command` with its output thrown away.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if platform.system() == "Darwin" else 1024
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**30)


def _command() -> None:
    arguments = parse(
        Arguments,
        prog="python benchmarks/measure.py",
        description="Measure wall time, CPU time and peak memory of a command.",
    )
    words = tuple(sys.executable if word == "python" else word for word in arguments.command)
    figures = [measure(words) for _ in range(arguments.runs)]
    walls, cpus, peaks = zip(*figures, strict=True)
    note(" ".join(arguments.command))
    for name, values in (("wall", walls), ("CPU", cpus)):
        print(
            f"{name}: median {statistics.median(values):.2f} s,"
            f" {min(values):.2f} to {max(values):.2f}"
        )
    print(f"peak memory: {max(peaks):.2f} GiB")


if __name__ == "__main__":
    run(_command)
