"""What the server costs: its rate beside the model's own, and a lone request's time.

    python benchmarks/serving_batching.py --photos photos/test

In one run on the same photos: the SavedModel called in a bare loop, one photo at a time and 16 at
a time; the server at 32 concurrent clients, with batching and without; one client alone.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from machine import describe_machine
from served import BATCH, Client, batching_flags, photo_body, served, together

from colorizer.command import import_tensorflow, run

PHOTOS = 64


@dataclass(frozen=True)
class Arguments:
    """What to send."""

    photos: Path
    """Folder of photos; 64 of them, evenly spaced, are taken."""
    rounds: int = 3
    """Times that each way is measured, one after the other in turn; the median counts."""
    seconds: float = 15.0
    """That each measurement takes."""
    clients: int = 32


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints the table."""
    import_tensorflow()
    import tensorflow as tf

    from models_export.export import export_run
    from pipelines.preparation import choose_jpegs

    photos = [path.read_bytes() for path in choose_jpegs(arguments.photos, PHOTOS)]
    with tempfile.TemporaryDirectory() as folder:
        base = export_run(None, Path(folder)).parent
        flags = batching_flags(Path(folder))
        model = tf.saved_model.load(str(base / "1"))
        colour = model.signatures["serving_default"]
        with served(base, *flags) as batching, served(base) as plain:
            rows = [
                {
                    "bare loop, 16 photos a call": _bare(colour, photos, BATCH, arguments.seconds),
                    "bare loop, 1 photo a call": _bare(colour, photos, 1, arguments.seconds),
                    "server, batching": _rate(batching.address, photos, arguments),
                    "server, no batching": _rate(plain.address, photos, arguments),
                    **_lone(colour, batching.address, plain.address, photos),
                }
                for _ in range(arguments.rounds)
            ]
    _tell(arguments, {name: median(row[name] for row in rows) for name in rows[0]})


def _tell(arguments: Arguments, seen: dict[str, float]) -> None:
    best = seen["bare loop, 16 photos a call"]
    print(f"{describe_machine()}; {arguments.clients} clients; medians of {arguments.rounds}")
    print("| | photos/s | of the bare batched loop |\n| --- | ---: | ---: |")
    for name, value in seen.items():
        if not name.startswith("lone"):
            print(f"| {name} | {value:.1f} | {value / best:.2f} |")
    print("\n| one photo alone | p50, ms |\n| --- | ---: |")
    for name, value in seen.items():
        if name.startswith("lone"):
            print(f"| {name.removeprefix('lone: ')} | {1000 * value:.1f} |")


def _bare(colour: Any, photos: list[bytes], size: int, seconds: float) -> float:
    """Photos a second of the model itself."""
    import tensorflow as tf

    source, done = cycle(photos), 0
    colour(image_bytes=tf.constant(list(islice(source, size))))
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        colour(image_bytes=tf.constant(list(islice(source, size))))["colorized_bytes"].numpy()
        done += size
    return done / (time.perf_counter() - started)


def _rate(address: str, photos: list[bytes], arguments: Arguments) -> float:
    """Photos a second of the server, with many clients."""
    bodies = [photo_body(photo) for photo in photos]
    done = [0] * arguments.clients
    started = time.perf_counter()

    def ask(number: int) -> None:
        client, source = Client(address), islice(cycle(bodies), number, None)
        while time.perf_counter() - started < arguments.seconds:
            answer = client.post(next(source))
            assert answer.status == 200, answer.body[:200]
            done[number] += 1

    together(arguments.clients, ask)
    return sum(done) / (time.perf_counter() - started)


def _lone(colour: Any, batching: str, plain: str, photos: list[bytes]) -> dict[str, float]:
    """Seconds of one photo that has all to itself, medians, taken in turn."""
    import tensorflow as tf

    batching_client, plain_client = Client(batching), Client(plain)
    model, batched, alone = [], [], []
    for photo in photos:
        started = time.perf_counter()
        colour(image_bytes=tf.constant([photo]))["colorized_bytes"].numpy()
        model.append(time.perf_counter() - started)
        batched.append(batching_client.post(photo_body(photo)).seconds)
        alone.append(plain_client.post(photo_body(photo)).seconds)
    return {
        "lone: model": median(model),
        "lone: server, batching": median(batched),
        "lone: server, no batching": median(alone),
    }


if __name__ == "__main__":
    main()
