"""A server under load and a training beside it, for long: do memory and file handles stay flat?

    python benchmarks/soak.py --minutes 45

Both are sampled every ten seconds. Once they are warm a line is laid through each series; its slope
is printed with a 95 % interval from a bootstrap of blocks, as one sample resembles the next. The
command fails if a series grows, if an answer is lost or wrong, or if either process fails.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import tyro
from machine import describe_machine
from served import Process, batching_flags, served, together
from serving_load import Crowd, bad_requests, good_requests

from colorizer.command import import_tensorflow, note, run
from colorizer.files import write_text

SAMPLES = Path(__file__).resolve().parent.parent / "samples" / "photos"
# What may be above zero without being growth: 1 % of the memory an hour, a file handle an hour.
MOST_OF_MEMORY = 0.01
MOST_HANDLES = 1.0
BLOCK_SECONDS = 120
REPEATS = 2000
SIGTERM_CODE = 143


@dataclass(frozen=True)
class Arguments:
    """What runs, for how long."""

    minutes: float = 45.0
    photos: Path = SAMPLES / "val"
    """Photos that are sent to the server."""
    train_photos: Path = SAMPLES / "train"
    """Photos that are trained on."""
    fit: tuple[str, ...] = ("--model", "cnn", "--preset", "smoke")
    """Further flags of colorizer.fit."""
    clients: int = 4
    count: int = 12
    """Photos that are sent, each in two sizes."""
    bad_share: float = 0.05
    """Share of requests that are wrong in one way or another."""
    warm_up_share: float = 0.25
    """Share of the time that does not count."""
    every: float = 10.0
    """Seconds between samples."""
    samples: Path | None = None
    """File for all samples, as tab-separated values."""


class Sample(NamedTuple):
    """What the two processes hold at a moment."""

    seconds: float
    server_mebibytes: float
    server_handles: int
    training_mebibytes: float
    training_handles: int


class Slope(NamedTuple):
    """Growth an hour, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def main() -> None:
    """Runs the measurement."""
    run(lambda: soak(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def soak(arguments: Arguments) -> int:
    """Prints what was seen; gives 1 if anything grew or was wrong."""
    import_tensorflow()
    from models_export.export import export_run

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = export_run(None, folder).parent
        good = good_requests(arguments.photos, arguments.count, base / "1")
        bad = bad_requests(good[0].body)
        with (
            served(base, *batching_flags(folder)) as server,
            _training(arguments, folder) as training,
        ):
            ends = time.monotonic() + 60 * arguments.minutes
            crowd = Crowd(server, good, bad, arguments.bad_share, ends)
            clients = Thread(target=together, args=(arguments.clients, crowd.ask))
            clients.start()
            samples = list(_sampled(arguments, server, training, ends))
            clients.join()
        epochs = len(list((folder / "run" / "samples").glob("epoch_*.png")))
    if arguments.samples:
        lines = ["\t".join(Sample._fields), *("\t".join(map(str, one)) for one in samples)]
        write_text(arguments.samples, "\n".join(lines) + "\n")
    statuses = dict(sorted(crowd.tally.statuses.items()))
    print(f"{describe_machine()}; {arguments.minutes:g} minutes, {arguments.clients} clients")
    print(f"{sum(statuses.values())} requests by status: {statuses}; {epochs} epochs trained")
    faults = crowd.tally.wrong[:5] + _told(arguments, samples)
    for fault in faults:
        note(f"error: {fault}")
    print("grows or fails" if faults else "flat: nothing grows, no answer lost or wrong")
    return 1 if faults else 0


@contextmanager
def _training(arguments: Arguments, folder: Path) -> Iterator[Process]:
    """A training without end; it must save and end as it should on SIGTERM."""
    log = folder / "fit.log"
    endless = ("--epochs", "1000000", "--schedule", "constant")
    places = ("--data", str(arguments.train_photos), "--run-dir", str(folder / "run"))
    command = (sys.executable, "-m", "colorizer.fit", *places, *endless, *arguments.fit)
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield Process(process.pid, "")
        process.send_signal(signal.SIGTERM)
        code = process.wait(300)
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        assert code == SIGTERM_CODE, f"the training ended with {code}: {last}"
    finally:
        process.kill()
        process.wait()


def _sampled(
    arguments: Arguments, server: Process, training: Process, ends: float
) -> Iterator[Sample]:
    started = told = time.monotonic()
    while time.monotonic() < ends:
        now = time.monotonic()
        sample = Sample(
            round(now - started, 1),
            server.resident_mebibytes(),
            server.open_files(),
            training.resident_mebibytes(),
            training.open_files(),
        )
        yield sample
        if now - told >= 60:
            told = now
            note(" ".join(f"{key} {value:.0f}" for key, value in sample._asdict().items()))
        time.sleep(max(0.0, arguments.every - (time.monotonic() - now)))


def _told(arguments: Arguments, samples: list[Sample]) -> list[str]:
    """Prints a row for each series; gives those that grow, in words."""
    table = np.array(samples)
    warm = table[table[:, 0] >= 60 * arguments.minutes * arguments.warm_up_share]
    block = max(1, round(BLOCK_SECONDS / arguments.every))
    grows = []
    print(f"after {60 * arguments.minutes * arguments.warm_up_share:.0f} s of warm-up:")
    print("| series | first | least | most | last | slope an hour (95 %) |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for number, field in enumerate(Sample._fields[1:], 1):
        name, values = field.replace("_", ", "), warm[:, number]
        slope = slope_of(warm[:, 0] / 3600, values, block)
        told = f"{slope.value:+.2f} ({slope.low:+.2f} to {slope.high:+.2f})"
        ends = (values[0], values.min(), values.max(), values[-1])
        print(f"| {name} | {' | '.join(f'{value:.0f}' for value in ends)} | {told} |")
        allowed = MOST_HANDLES if "handles" in field else MOST_OF_MEMORY * values.mean()
        if slope.low > allowed:
            grows.append(f"{name}: grows by {told} an hour, more than {allowed:.2f}")
    return grows


def slope_of(hours: np.ndarray, values: np.ndarray, block: int) -> Slope:
    """The least-squares slope, with an interval from residuals drawn in blocks.

    Neighbouring samples resemble each other, so that the usual interval would be far too narrow
    (Kunsch 1989, the moving-block bootstrap).

    Args:
        hours: when, of shape (N,).
        values: what was seen then, of shape (N,).
        block: residuals that are drawn together, an eighth of them at most.
    """
    centred = hours - hours.mean()
    weights = centred / (centred**2).sum()
    slope = float(weights @ values)
    residuals = values - values.mean() - slope * centred
    count = len(values)
    block = max(1, min(block, count // 8))
    firsts = np.random.default_rng(0).integers(
        0, count - block + 1, (REPEATS, -(-count // block), 1)
    )
    drawn = (firsts + np.arange(block)).reshape(REPEATS, -1)[:, :count]
    low, high = np.percentile(slope + residuals[drawn] @ weights, [2.5, 97.5])
    return Slope(slope, float(low), float(high))


if __name__ == "__main__":
    main()
