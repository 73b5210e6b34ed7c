"""Keras callbacks of a training epoch."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm

from colorizer.training.averaging import WeightAverage
from colorizer.training.interruption import StopRequest
from pipelines.errors import ColorizerError

Logs = dict[str, Any] | None


class NanGuard(keras.callbacks.Callback):
    """Stops a run as soon as any loss is no longer a finite number.

    Raises:
        ColorizerError: naming the loss, the epoch and the step.
    """

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remembers the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Looks at every figure of the step whose name says loss."""
        for name, value in (logs or {}).items():
            if "loss" in name and not math.isfinite(float(value)):
                raise ColorizerError(
                    f"{name} is {float(value)} in epoch {self._epoch + 1}, step {batch + 1}:"
                    " the run is stopped (a lower --learning-rate may help)"
                )


class ProgressBar(keras.callbacks.Callback):
    """One bar an epoch, on stderr.

    Args:
        epoch: the epoch, from 0.
        epochs: all epochs of the run.
        steps: steps of an epoch.
        first_step: those of its steps that an earlier call did.
        shown: whether to show it at all.
    """

    def __init__(
        self, epoch: int, epochs: int, steps: int, first_step: int, *, shown: bool = True
    ) -> None:
        super().__init__()
        self._bar = tqdm(
            total=steps,
            initial=first_step,
            desc=f"epoch {epoch + 1}/{epochs}",
            unit="step",
            disable=not shown,
            mininterval=1.0 if sys.stderr.isatty() else 30.0,
        )

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Moves the bar on."""
        self._bar.set_postfix(
            {name: f"{float(value):.4g}" for name, value in (logs or {}).items()}, refresh=False
        )
        self._bar.update()

    def close(self) -> None:
        """Ends the bar's line."""
        self._bar.close()


class AverageUpdater(keras.callbacks.Callback):
    """Moves the weight average after each step.

    Args:
        average: follows the weights.
    """

    def __init__(self, average: WeightAverage) -> None:
        super().__init__()
        self._average = average

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Moves the average towards the present weights."""
        self._average.update()


class StepKeeper(keras.callbacks.Callback):
    """After each step: saves when it is time, stops when asked to. The last of all callbacks.

    Args:
        save: called with the number of steps done in this call of `fit`, and the epoch's figures.
        restore: called once, when the epoch has begun and Keras has reset its metrics.
        stop: says when to stop.
        save_minutes: minutes between two saves.
    """

    def __init__(
        self,
        save: Callable[[int, dict[str, float]], None],
        restore: Callable[[], None],
        stop: StopRequest,
        save_minutes: float,
    ) -> None:
        super().__init__()
        self._save, self._restore = save, restore
        self._stop, self._save_seconds = stop, 60 * save_minutes

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Brings back the metrics of an epoch that was stopped half-way."""
        self._restore()
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Raises what `StopRequest.raise_if_due` raises, after saving."""
        due = self._stop.is_due
        (late,) = self._stop.ask_all(time.monotonic() - self._saved_at >= self._save_seconds)
        if due or late:
            self._save(batch + 1, {name: float(value) for name, value in (logs or {}).items()})
            self._saved_at = time.monotonic()
        if due:
            self._stop.raise_if_due()
