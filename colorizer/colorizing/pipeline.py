"""Reading, predicting, painting and writing photos, each while the others are at work.

    a thread reads, one batch ahead  ->  the caller predicts  ->  a thread a core paints and writes

Pillow and TensorFlow do their work outside Python's lock, so threads are enough. What waits is
bounded, in number and in pixels: two batches that are read, and a photo a core to be written.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorizer.colorizing.outputs import Job
from colorizer.guidance.hints import Hint, HintsFile
from colorizer.images.reading import read_photo
from colorizer.images.writing import write_photo
from colorizer.inference import Colorizer
from pipelines.errors import ColorizerError, PhotoError

# Photos wait in memory for their batch, and, for each core, to be written: no more than this
# together, or one alone.
BATCH_PIXELS = 24_000_000

Item = TypeVar("Item")


class _Read(NamedTuple):
    """A photo that is read: uint8 pixels (H, W, 3), and what goes along."""

    target: Path
    path: Path
    pixels: np.ndarray
    exif: bytes
    resolution: float | None
    hints: Sequence[Hint]
    variant: int


def colorize_jobs(
    colorizer: Colorizer,
    jobs: Sequence[Job],
    errors: Sequence[PhotoError],
    *,
    saturation: float,
    batch_size: int,
    hints: HintsFile | None = None,
    seed: int | None = None,
) -> int:
    """Colours photos and writes them, with a bar and a line for each failure on stderr.

    Args:
        colorizer: says the colours.
        jobs: what to read and where to write it.
        errors: those known before, to be said.
        saturation: factor on the colours.
        batch_size: photos that go through the network at once.
        hints: for some of the photos.
        seed: of the first variants, for a colorizer that samples; None: its usual answer.

    Returns:
        How many of `jobs` failed.
    """
    # A log needs no ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(jobs), unit="photo", file=sys.stderr, mininterval=interval) as bar:
        progress = _Progress(bar)
        for error in errors:
            progress.say(f"error: {_one_line(error)}")
        with (
            _Finishing(colorizer, saturation, progress) as finishing,
            closing(one_ahead(_batches(jobs, batch_size, hints, progress))) as batches,
        ):
            for batch in batches:
                for photo, ab in zip(batch, _predicted(colorizer, batch, seed), strict=True):
                    finishing.begin(photo, ab)
    return progress.failed


def one_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Gives out `items`; a thread of its own makes the next one meanwhile."""
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, "reading") as thread:
        waiting: Future[Item | object] = thread.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]


class _Progress:
    """A bar of photos on stderr, and lines that do not run into it; threads share it."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar
        self._lock = threading.Lock()
        self.failed = 0

    def done(self) -> None:
        with self._lock:
            self._bar.update()

    def fail(self, error: ColorizerError) -> None:
        with self._lock:
            self.failed += 1
            self.say(f"error: {_one_line(error)}")
            self._bar.update()

    def say(self, line: str) -> None:
        self._bar.write(line, file=sys.stderr)


class _Finishing:
    """Paints and writes photos in threads, a bounded number at once."""

    def __init__(self, colorizer: Colorizer, saturation: float, progress: _Progress) -> None:
        self._colorizer, self._saturation, self._progress = colorizer, saturation, progress
        self._provenance = colorizer.provenance.with_settings(saturation=f"{saturation:g}")
        self._most = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._most, "finishing")
        self._at_work: deque[tuple[int, Future[None]]] = deque()

    def __enter__(self) -> "_Finishing":
        return self

    def __exit__(self, *exception: object) -> None:
        # What is at work is finished; what waits is left alone when something is wrong.
        stopped = exception[0] is not None
        self._threads.shutdown(cancel_futures=stopped)
        while self._at_work and not stopped:
            self._await_first()

    def begin(self, photo: _Read, ab: np.ndarray | ColorizerError) -> None:
        """Begins with a photo, as soon as few enough are at work."""
        size = photo.pixels.size // 3
        while self._at_work and (
            len(self._at_work) == self._most
            or size + sum(others for others, _ in self._at_work) > self._most * BATCH_PIXELS
        ):
            self._await_first()
        self._at_work.append((size, self._threads.submit(self._finish, photo, ab)))

    def _await_first(self) -> None:
        _, work = self._at_work.popleft()
        work.result()

    def _finish(self, photo: _Read, ab: np.ndarray | ColorizerError) -> None:
        try:
            if isinstance(ab, ColorizerError):
                raise ab
            ab = self._colorizer.with_hints(photo.pixels, ab, photo.hints)
            painted = self._colorizer.paint(photo.pixels, ab, saturation=self._saturation)
            provenance = self._provenance
            if photo.hints:
                provenance = provenance.with_settings(hints=str(len(photo.hints)))
            write_photo(
                Image.fromarray(painted),
                photo.target,
                exif=photo.exif,
                resolution=photo.resolution,
                provenance=provenance,
            )
        except PhotoError as error:
            self._progress.fail(error)
        except ColorizerError as error:
            self._progress.fail(PhotoError(photo.path, str(error)))
        else:
            self._progress.done()


def _batches(
    jobs: Sequence[Job], batch_size: int, hints: HintsFile | None, progress: _Progress
) -> Iterator[list[_Read]]:
    """Reads photos and gives them out in batches bounded in number and in pixels."""
    batch: list[_Read] = []
    pixels = 0
    for job in jobs:
        try:
            photo = _read(job, hints, progress)
        except PhotoError as error:
            progress.fail(error)
            continue
        size = photo.pixels.size // 3
        if batch and (len(batch) == batch_size or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(photo)
        pixels += size
    if batch:
        yield batch


def _read(job: Job, hints: HintsFile | None, progress: _Progress) -> _Read:
    photo = read_photo(job.source.path)
    for line in photo.notes:
        progress.say(f"note: {photo.path}: {line}")
    own = () if hints is None else hints.of(job.source)
    pixels = np.asarray(photo.image)
    return _Read(job.target, photo.path, pixels, photo.exif, photo.resolution, own, job.variant)


def _predicted(
    colorizer: Colorizer, batch: list[_Read], seed: int | None
) -> Sequence[np.ndarray | ColorizerError]:
    """Gives each photo's ab, or why there is none."""
    if seed is None:
        return _answers(colorizer, batch)
    return [
        answer
        for photo in batch
        for answer in _answers(colorizer.guided(seed=seed + photo.variant - 1), [photo])
    ]


def _answers(colorizer: Colorizer, batch: list[_Read]) -> Sequence[np.ndarray | ColorizerError]:
    try:
        return list(colorizer.predict_photos([photo.pixels for photo in batch]))
    except ColorizerError as error:
        return [error] * len(batch)


def _one_line(error: ColorizerError) -> str:
    return " ".join(str(error).split())
