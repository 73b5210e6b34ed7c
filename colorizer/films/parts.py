"""A film's coloured parts: written beside its place, each whole, until they are joined.

A run that was killed goes on behind the last part. With each part goes what its next frame would
have gone on from, so that the film becomes the same as if nothing had stopped it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colorizer.files import replacing, write_json
from colorizer.films.steadying import State
from colorizer.locks import PARTIAL, lock
from pipelines.errors import PhotoError

_KEY = "film.json"


@dataclass(frozen=True)
class Progress:
    """How far a film is.

    Attributes:
        frames: those in the parts.
        time: of the last of them, in the film's time base.
        duration: of the last of them, in the same.
        state: what the next frame goes on from.
    """

    frames: int
    time: int
    duration: int
    state: State


class Parts:
    """The parts of one film, in a hidden folder beside its place.

    Args:
        folder: where they lie.
        key: what they depend on; parts of another key are removed.
        keep: go on with those that are there.
    """

    def __init__(self, folder: Path, key: dict[str, Any], *, keep: bool) -> None:
        self._folder = folder
        self.progress: Progress | None = None
        self._count = 0
        if keep and self._key() == key:
            self._find()
        if not self._count:
            for path in folder.glob("0*"):
                path.unlink()
            write_json(folder / _KEY, key)

    @property
    def paths(self) -> list[Path]:
        """The films that, joined, are the whole."""
        return [self._path(number) for number in range(self._count)]

    @contextmanager
    def next(self) -> Iterator[Path]:
        """Yields the path to write the next part to; `finish` has it count."""
        with replacing(self._path(self._count)) as beside:
            yield beside

    def finish(self, progress: Progress) -> None:
        """Counts the part that was written last, and keeps what goes on from it."""
        state = progress.state
        with replacing(self._state_path(self._count)) as beside:
            np.savez(
                beside,
                gray=state.gray,
                ab=state.ab,
                numbers=np.array(
                    [progress.frames, progress.time, progress.duration, state.since], np.int64
                ),
            )
        if self._count:
            self._state_path(self._count - 1).unlink(missing_ok=True)
        self._count += 1
        self.progress = progress

    def _find(self) -> None:
        states = sorted(self._folder.glob("0*.npz"))
        if not states:
            return
        count = int(states[-1].stem) + 1
        if all(self._path(number).is_file() for number in range(count)):
            with np.load(states[-1], allow_pickle=False) as kept:
                frames, time, duration, since = (int(number) for number in kept["numbers"])
                state = State(kept["gray"], kept["ab"], since)
            self._count, self.progress = count, Progress(frames, time, duration, state)

    def _key(self) -> Any:
        try:
            return json.loads((self._folder / _KEY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.nut"

    def _state_path(self, number: int) -> Path:
        return self._folder / f"{number:06}.npz"


@contextmanager
def parts_folder(target: Path) -> Iterator[Path]:
    """Yields the folder for a film's parts, held against other runs; removes it at the end.

    If the body fails, the folder stays, for `--skip-existing` to go on from.

    Raises:
        PhotoError: another run is at work on the same film.
    """
    # Not by the film's own name, which may be as long as a name can be.
    name = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:16]
    folder = target.with_name(f".{name}{PARTIAL}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as held:
        try:
            lock(held.fileno())
        except OSError as error:
            raise PhotoError(target, "another run is at work on it") from error
        yield folder
        shutil.rmtree(folder)
