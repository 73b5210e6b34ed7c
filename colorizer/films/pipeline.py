"""Films coloured: reading, predicting, and painting with encoding, each while the others work.

    a thread reads, one group ahead  ->  the caller predicts  ->  a thread paints  ->  one encodes

FFmpeg, OpenCV and TensorFlow work outside Python's lock, FFmpeg and TensorFlow in threads of their
own. At most three groups of frames are in memory, however long the film.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from typing import Any

import av
import cv2
import numpy as np
from tqdm import tqdm

from colorizer.colorizing.outputs import Job
from colorizer.colorizing.pipeline import one_ahead
from colorizer.films.colours import Painter
from colorizer.films.parts import Parts, Progress, parts_folder
from colorizer.films.reading import Film, Frame, Look
from colorizer.films.steadying import STEADIED_SIDE, State, Steadier
from colorizer.films.writing import ENCODER_OPTIONS, PartWriter, join
from colorizer.inference import Colorizer
from pipelines.errors import ColorizerError, NotWrittenError, PhotoError

# Ten seconds of most films: what a kill costs at most, and as far apart as x264 would put its key
# frames anyway.
PART_FRAMES = 250


def colorize_films(
    colorizer: Colorizer,
    jobs: Sequence[Job],
    *,
    saturation: float,
    batch_size: int,
    resume: bool,
) -> int:
    """Colours films, with a bar for each and a line for each failure on stderr.

    Args:
        colorizer: says the colours.
        jobs: what to read and where to write it.
        saturation: factor on the colours.
        batch_size: frames that go through the network at once.
        resume: go on with films that another run has left.

    Returns:
        How many of `jobs` failed.
    """
    failed = 0
    for job in jobs:
        try:
            colorize_film(colorizer, job, saturation, batch_size, resume=resume)
        except PhotoError as error:
            failed += 1
            _say(f"error: {error}")
        except NotWrittenError as error:
            failed += 1
            _say(f"error: {job.target}: {error.reason}")
        except ColorizerError as error:
            failed += 1
            _say(f"error: {job.source.path}: {error}")
        except (OSError, av.FFmpegError) as error:
            failed += 1
            _say(f"error: {job.target}: cannot be written: {error.strerror or error}")
    return failed


def colorize_film(
    colorizer: Colorizer, job: Job, saturation: float, batch_size: int, *, resume: bool
) -> None:
    """Colours one film; see `colorize_films`.

    Raises:
        PhotoError: it cannot be read or written. A film that ends too early is written as far as
            it goes, and then raises.
        ColorizerError: memory runs out, or the network gives no finite numbers.
    """
    source = job.source.path
    with (
        opencv_in_one_thread(),
        Film(source, colorizer.image_size) as film,
        parts_folder(job.target) as folder,
    ):
        key = _key(colorizer, job, saturation, batch_size)
        parts = Parts(folder, key, keep=resume)
        with tqdm(
            total=film.total,
            initial=parts.progress.frames if parts.progress else 0,
            desc=source.name,
            unit="frame",
            file=sys.stderr,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
        ) as bar:
            _colour_frames(colorizer, film, parts, saturation, batch_size, bar)
        progress = parts.progress
        if progress is None:
            raise PhotoError(source, "no frame of it can be decoded")
        join(
            source,
            parts.paths,
            job.target,
            film.look,
            last_duration=progress.duration,
            remark=colorizer.provenance.with_settings(saturation=f"{saturation:g}").remark,
            notes=film.notes,
        )
    for note in film.notes:
        _say(f"note: {source}: {note}")
    if film.breaks_off:
        raise PhotoError(source, f"{film.breaks_off}: {job.target} holds what there is")


def _colour_frames(
    colorizer: Colorizer,
    film: Film,
    parts: Parts,
    saturation: float,
    batch_size: int,
    bar: Any,
) -> None:
    start = parts.progress
    steadier = Steadier(colorizer, batch_size, start.state if start else None)
    frames = film.frames(after=start.time if start else None)
    with (
        closing(one_ahead(grouped(frames, batch_size))) as groups,
        Encoding(film.look, parts, saturation) as encoding,
    ):
        for group in groups:
            states = steadier.colour([frame.gray for frame in group])
            encoding.begin(group, states)
            bar.update(len(group))


@contextmanager
def opencv_in_one_thread() -> Iterator[None]:
    """Keeps OpenCV from sharing out what takes a millisecond: that costs half more CPU time."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def grouped(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Gives out frames in lists of `size`; the last may be shorter."""
    iterator = iter(frames)
    while group := list(islice(iterator, size)):
        yield group


class Encoding:
    """Paints frames in one thread and encodes them in another, behind the caller.

    Args:
        look: of the film.
        parts: takes what is encoded.
        saturation: factor on the colours.
    """

    def __init__(self, look: Look, parts: Parts, saturation: float) -> None:
        self._look, self._parts = look, parts
        self._painter = Painter(look.colours, saturation)
        self._frames = parts.progress.frames if parts.progress else 0
        self._in_part = 0
        self._part = ExitStack()
        self._writer: PartWriter | None = None
        self._last: Progress | None = None
        self._painting = ThreadPoolExecutor(1, "painting")
        self._encoding = ThreadPoolExecutor(1, "encoding")
        self._at_work: Future[None] | None = None

    def __enter__(self) -> "Encoding":
        return self

    def __exit__(self, *exception: Any) -> None:
        stopped = exception[0] is not None
        try:
            self._painting.shutdown(cancel_futures=stopped)
            self._encoding.shutdown(cancel_futures=stopped)
            if not stopped:
                if self._at_work is not None:
                    self._at_work.result()
                self._finish_part()
        finally:
            # The part that is begun, if one is left, is not whole: its file goes.
            with suppress(_Unfinished):
                self._part.__exit__(_Unfinished, _Unfinished(), None)

    def begin(self, group: Sequence[Frame], states: Sequence[State]) -> None:
        """Begins with a group; waits until the one before is encoded."""
        painted = [
            self._painting.submit(self._painter.paint, frame.luma, frame.small, state.ab)
            for frame, state in zip(group, states, strict=True)
        ]
        if self._at_work is not None:
            self._at_work.result()
        self._at_work = self._encoding.submit(self._encode, group, painted, states[-1])

    def _encode(self, group: Sequence[Frame], painted: Sequence[Future[Any]], state: State) -> None:
        if self._writer is None:
            beside = self._part.enter_context(self._parts.next())
            file = self._part.enter_context(beside.open("wb"))
            self._writer = self._part.enter_context(PartWriter(file, self._look))
        for frame, planes in zip(group, painted, strict=True):
            self._writer.write(frame, planes.result())
        self._frames += len(group)
        self._in_part += len(group)
        self._last = Progress(self._frames, group[-1].time, group[-1].duration, state)
        if self._in_part >= PART_FRAMES:
            self._finish_part()

    def _finish_part(self) -> None:
        if self._last is not None:
            self._part.close()
            self._parts.finish(self._last)
            self._writer, self._last, self._in_part = None, None, 0


class _Unfinished(Exception):
    """Lets what writes a part throw it away."""


def _key(colorizer: Colorizer, job: Job, saturation: float, batch_size: int) -> dict[str, Any]:
    """What a film's parts depend on, as JSON."""
    status = job.source.path.stat()
    size = colorizer.image_size
    # Weights may change at one path, and styles are answers of one network.
    picture = np.linspace(-1, 1, size * size, dtype=np.float32).reshape(1, size, size, 1)
    answer = colorizer.predict_ab(picture)
    return {
        "film": [str(job.source.path.resolve()), status.st_size, status.st_mtime_ns],
        "network": [round(float(number), 3) for number in (*answer.mean((0, 1, 2)), answer.std())],
        "saturation": saturation,
        "batch_size": batch_size,
        "steadied": STEADIED_SIDE,
        "encoder": [av.__version__, ENCODER_OPTIONS],
    }


def _say(line: str) -> None:
    tqdm.write(" ".join(line.split()), file=sys.stderr)
