"""What the training loop needs to know of what it trains."""

from collections.abc import Callable
from typing import Any, Protocol

import keras

from colorizer.training.averaging import WeightAverage
from colorizer.training.trainer import Trainer

Save = Callable[[int, dict[str, float]], None]


class Task(Protocol):
    """A network that learns, and how.

    Attributes:
        model: compiled; learns from batches of (lightness, ab).
        trainer: of the model.
        network: from `lightness` to `ab`, what the run is for; its weights may be the model's own.
        average: moving average over the network's weights.
        judged_by: the validation figure whose lowest value decides which network is kept.
    """

    model: keras.Model
    trainer: Trainer
    network: keras.Model
    average: WeightAverage
    judged_by: str

    def variables(self) -> dict[str, list[keras.Variable]]:
        """Gives all that changes while it trains, in groups, but for the metrics."""
        ...

    def callbacks(self, guard: dict[str, Any], save: Save) -> list[keras.callbacks.Callback]:
        """Gives the callbacks of an epoch.

        `guard` is saved with the progress; `save`, given the steps done in this call of `fit` and
        the epoch's figures, writes a checkpoint.
        """
        ...

    def validate(self) -> dict[str, float]:
        """Measures the network as it is on the validation photos; `judged_by` is among it."""
        ...

    def end_epoch(self, row: dict[str, float], guard: dict[str, Any]) -> None:
        """Is called when an epoch's row of figures is known, before it is saved."""
        ...
