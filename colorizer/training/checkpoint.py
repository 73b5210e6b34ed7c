"""The whole state of a training run in one file, so that a stopped run can go on."""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from colorizer.files import replacing
from pipelines.errors import ColorizerError


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: the epoch under way, from 0.
        step: steps of it that are done.
        history: one row of numbers for each finished epoch.
        best: the lowest value so far of what the run is judged by; None before the first.
        train_logs: training figures of the epoch under way, once all its steps are done.
        guard: what the collapse guard remembers.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    train_logs: dict[str, float] = field(default_factory=dict)
    guard: dict[str, Any] = field(default_factory=dict)


Groups = Mapping[str, Sequence[keras.Variable]]


def save_checkpoint(
    path: Path, variables: Groups, progress: Progress, *, write: bool = True
) -> None:
    """Writes groups of variables and the progress to a .npz file, whole or not at all.

    Metrics are added up over all workers when they are read: those that do not `write` must call
    this too.
    """
    _save(path, variables, {"progress": np.array(json.dumps(asdict(progress)))}, write)


def save_variables(path: Path, variables: Groups, *, write: bool = True) -> None:
    """Writes groups of variables alone; otherwise as `save_checkpoint`."""
    _save(path, variables, {}, write)


def _save(path: Path, variables: Groups, more: dict[str, np.ndarray], write: bool) -> None:
    arrays = {
        f"{group}/{number:04d}": keras.ops.convert_to_numpy(variable)
        for group, members in variables.items()
        for number, variable in enumerate(members)
    }
    if not write:
        return
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **more, **arrays)


def load_progress(path: Path) -> Progress:
    """Reads how far the run had come when the checkpoint was written.

    Raises:
        ColorizerError: the file is damaged.
    """
    with _opened(path) as arrays:
        return Progress(**json.loads(str(arrays["progress"])))


def restore_variables(path: Path, variables: Groups) -> None:
    """Sets the variables of the given groups to what the checkpoint holds.

    Raises:
        ColorizerError: the file is damaged, or was written by a run with other variables.
    """
    with _opened(path) as arrays:
        for group, members in variables.items():
            stored = sorted(name for name in arrays.files if name.startswith(f"{group}/"))
            shapes = [arrays[name].shape for name in stored]
            if shapes != [tuple(variable.shape) for variable in members]:
                raise ColorizerError(f"{path}: the {group} does not fit this configuration")
            for name, variable in zip(stored, members, strict=True):
                variable.assign(arrays[name])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ColorizerError(f"{path}: not a readable checkpoint ({error})") from None
