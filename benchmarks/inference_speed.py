"""Milliseconds to predict the colours of a photo at the network's size, for one batch size or more.

    taskset -c 0 python benchmarks/inference_speed.py

Uses the cores that this command may use. Decoding, painting at full size and encoding are left
out: `benchmarks/measure.py -- python -m colorizer.colorize ...` times the whole.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from machine import describe_machine
from step_sides import available_cores

from colorizer.command import import_tensorflow, run

WARM_UP = 3


@dataclass(frozen=True)
class Arguments:
    """What to time."""

    model: Path | None = None
    """Run folder or export. Left out: the weights that ship with the package."""
    batch_sizes: tuple[int, ...] = (1, 16)
    """Photos that go through the network at once."""
    repeats: int = 20
    """Times that each is done; the median counts."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints a line for each batch size and style."""
    import_tensorflow()
    import numpy as np

    from colorizer import load

    loaded = load(arguments.model)
    print(f"{describe_machine()}; {available_cores()} cores")
    for style in loaded.styles or (None,):
        colorizer = loaded.styled(style)
        for batch_size in arguments.batch_sizes:
            shape = (batch_size, colorizer.image_size, colorizer.image_size, 1)
            lightness = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
            times = []
            for _ in range(WARM_UP + arguments.repeats):
                started = time.perf_counter()
                colorizer.predict_ab(lightness)
                times.append(1000 * (time.perf_counter() - started) / batch_size)
            median = statistics.median(times[WARM_UP:])
            print(f"{style or 'model'}, batch {batch_size}: {median:.1f} ms a photo", flush=True)


if __name__ == "__main__":
    main()
