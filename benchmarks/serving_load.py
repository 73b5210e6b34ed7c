"""Many clients at once for minutes, real photos of many sizes, bad input among them.

    python benchmarks/serving_load.py --photos photos/test [--clients 64] [--seconds 120]

Every coloured photo is compared with what the SavedModel itself makes of it, called alone. The
command fails if an answer is lost, mixed up or a server error other than "queue full", or if the
server's memory grows after the warm-up.
"""

import io
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from machine import describe_machine
from PIL import Image
from served import Answer, Client, Process, batching_flags, photo_body, served, together

from colorizer.command import import_tensorflow, note, run

# Rounding differs with the size of a batch; another photo differs by far more.
MOST_DIFFERENCE = 3
WARM_UP_SHARE = 0.33
MOST_GROWTH = 0.05


@dataclass(frozen=True)
class Arguments:
    """What to send, for how long."""

    photos: Path
    """Folder of photos; so many of them are taken, evenly spaced, each in two sizes."""
    count: int = 24
    clients: int = 64
    seconds: float = 120.0
    bad_share: float = 0.05
    """Share of requests that are wrong in one way or another."""


@dataclass(frozen=True, eq=False)
class Request:
    """A request, and what must come back.

    Attributes:
        body: what is sent.
        expected: the coloured photo, uint8 (H, W, 3); None: an error of the client's.
    """

    body: bytes
    expected: np.ndarray | None = None


@dataclass
class Tally:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request, answer: Answer) -> None:
        """Counts and checks an answer."""
        fault = _fault(request, answer)
        with self.lock:
            self.statuses[str(answer.status)] += 1
            if answer.status == 200:
                self.seconds.append(answer.seconds)
            if fault:
                self.wrong.append(fault)


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> int:
    """Prints what was seen; gives 1 if anything was wrong."""
    import_tensorflow()
    from models_export.export import export_run

    with tempfile.TemporaryDirectory() as folder:
        base = export_run(None, Path(folder)).parent
        good = good_requests(arguments.photos, arguments.count, base / "1")
        bad = bad_requests(good[0].body)
        with served(base, *batching_flags(Path(folder))) as process:
            return _under_load(arguments, process, good, bad)


def good_requests(photos: Path, count: int, model: Path) -> list[Request]:
    """Photos at their own size and at three times it, with what the SavedModel makes of them."""
    import tensorflow as tf

    from pipelines.preparation import choose_jpegs

    loaded = tf.saved_model.load(str(model))
    colour = loaded.signatures["serving_default"]
    requests = []
    for path in choose_jpegs(photos, count):
        for photo in (path.read_bytes(), _enlarged(path)):
            made = colour(image_bytes=tf.constant([photo]))["colorized_bytes"].numpy()[0]
            requests.append(Request(photo_body(photo), _pixels(made)))
    return requests


def _enlarged(path: Path) -> bytes:
    encoded = io.BytesIO()
    with Image.open(path) as image:
        size = (3 * image.width, 3 * image.height)
        image.convert("RGB").resize(size).save(encoded, "JPEG")
    return encoded.getvalue()


def bad_requests(good: bytes) -> list[Request]:
    """What a server must refuse, made from the body of a good request."""
    cut = json.loads(good)["instances"][0]["b64"]
    bodies = [
        good[: len(good) // 2],
        b"",
        photo_body(b"no photo"),
        json.dumps({"instances": [{"b64": cut[: len(cut) // 8 * 4]}]}).encode(),
        json.dumps({"signature_name": "none", "instances": [1]}).encode(),
        json.dumps({"instances": [{"b64": "%%%"}]}).encode(),
    ]
    return [Request(body) for body in bodies]


class Crowd:
    """Clients that ask at random, each the next thing as soon as it has its answer.

    Args:
        process: the server.
        good, bad: what is asked.
        bad_share: share of the bad.
        ends: until when, by the monotonic clock.

    Attributes:
        tally: what came back.
    """

    def __init__(
        self,
        process: Process,
        good: list[Request],
        bad: list[Request],
        bad_share: float,
        ends: float,
    ) -> None:
        self._process, self._good, self._bad = process, good, bad
        self._bad_share, self._ends = bad_share, ends
        self.tally = Tally()

    def ask(self, number: int) -> None:
        """Is client number `number`, in the calling thread."""
        chance, client = random.Random(number), Client(self._process.address)
        while time.monotonic() < self._ends:
            wrong = chance.random() < self._bad_share
            request = chance.choice(self._bad if wrong else self._good)
            self.tally.take(request, client.post(request.body))


def _under_load(
    arguments: Arguments, process: Process, good: list[Request], bad: list[Request]
) -> int:
    memory, files = [], []
    ends = time.monotonic() + arguments.seconds
    crowd = Crowd(process, good, bad, arguments.bad_share, ends)

    def work(number: int) -> None:
        if number == arguments.clients:
            while time.monotonic() < ends:
                memory.append(process.resident_mebibytes())
                files.append(process.open_files())
                time.sleep(0.5)
        else:
            crowd.ask(number)

    together(arguments.clients + 1, work)
    return _told(arguments, crowd.tally, memory, files)


def _told(arguments: Arguments, tally: Tally, memory: list[float], files: list[int]) -> int:
    total, answered = sum(tally.statuses.values()), len(tally.seconds)
    p50, p99 = np.percentile(tally.seconds, [50, 99])
    warm = memory[int(WARM_UP_SHARE * len(memory)) :]
    half = len(warm) // 2
    early, late = max(warm[:half]), max(warm[half:])
    print(f"{describe_machine()}; {arguments.clients} clients, {arguments.seconds:g} s")
    print(f"{total} requests by status: {dict(sorted(tally.statuses.items()))}")
    print(f"{answered / arguments.seconds:.1f} photos/s; p50 {p50:.2f} s, p99 {p99:.2f} s")
    print(f"memory, MiB: {memory[0]:.0f} at first; after the warm-up at most {early:.0f},")
    print(f"in the second half of the rest at most {late:.0f}; file handles at most {max(files)}")
    print(f"{len(tally.wrong)} answers lost, mixed up or server errors")
    faults = tally.wrong[:5]
    if late > (1 + MOST_GROWTH) * early:
        faults.append(f"memory grows: {early:.0f} to {late:.0f} MiB")
    for fault in faults:
        note(f"error: {fault}")
    return 1 if faults else 0


def _fault(request: Request, answer: Answer) -> str:
    """What is wrong with an answer; empty: nothing."""
    if answer.status == 503 and b"queue" in answer.body:
        return ""
    if request.expected is None:
        fine = 400 <= answer.status < 500
        return "" if fine else f"{answer.status} to bad input: {answer.body[:200]!r}"
    if answer.status != 200:
        return f"{answer.status} to a good photo: {answer.body[:200]!r}"
    (made,) = answer.photos()
    seen = _pixels(made)
    if seen.shape != request.expected.shape:
        return f"another photo's answer: {seen.shape}, not {request.expected.shape}"
    difference = int(np.abs(seen.astype(int) - request.expected).max())
    return "" if difference <= MOST_DIFFERENCE else f"pixels differ by up to {difference}"


def _pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


if __name__ == "__main__":
    main()
