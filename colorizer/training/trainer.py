"""Running a compiled model over batches: Keras's own way, and one for several workers."""

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

Callbacks = Sequence[keras.callbacks.Callback]
Logs = dict[str, float]


class Trainer(Protocol):
    """Trains a model for an epoch, and measures it."""

    def fit(self, batches: tf.data.Dataset, epoch: int, callbacks: Callbacks) -> Logs:
        """Trains over the batches once and gives the figures of the epoch, counted from 0."""
        ...

    def evaluate(self, batches: tf.data.Dataset) -> Logs:
        """Gives the figures over all batches."""
        ...


def trainer_of(model: keras.Model) -> Trainer:
    """Gives what trains the model under the strategy that it was built under."""
    over_workers = isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return WorkersTrainer(model) if over_workers else KerasTrainer(model)


class KerasTrainer:
    """Trains by `keras.Model.fit`.

    Args:
        model: compiled.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def fit(self, batches: tf.data.Dataset, epoch: int, callbacks: Callbacks) -> Logs:
        """See `Trainer.fit`."""
        history = self._model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
        return {name: float(values[-1]) for name, values in history.history.items()}

    def evaluate(self, batches: tf.data.Dataset) -> Logs:
        """See `Trainer.evaluate`."""
        logs = self._model.evaluate(batches, verbose=0, return_dict=True)
        return {name: float(value) for name, value in logs.items()}


class WorkersTrainer:
    """Trains under `MultiWorkerMirroredStrategy`, where Keras 3.15's `fit` and `evaluate` fail.

    The steps are the model's own `train_step` and `test_step`. In `fit` the batches are this
    worker's part of each; in `evaluate` they are whole, and every worker measures all of them, so
    that no random number is drawn by one worker only. Figures are those of all workers together.

    Args:
        model: compiled, and built under the strategy.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model, self._strategy = model, model.distribute_strategy
        self._train = self._over_workers(model.train_step)
        self._test = self._over_workers(model.test_step)

    def fit(self, batches: tf.data.Dataset, epoch: int, callbacks: Callbacks) -> Logs:
        """See `Trainer.fit`."""
        told = keras.callbacks.CallbackList(
            list(callbacks), add_history=False, model=self._model, epochs=epoch + 1
        )
        logs: Logs = {}
        told.on_train_begin()
        self._model.reset_metrics()
        told.on_epoch_begin(epoch)
        for number, batch in enumerate(self._distributed(batches)):
            told.on_train_batch_begin(number)
            logs = _numbers(self._train(batch))
            told.on_train_batch_end(number, logs)
        told.on_epoch_end(epoch, logs)
        told.on_train_end(logs)
        return logs

    def evaluate(self, batches: tf.data.Dataset) -> Logs:
        """See `Trainer.evaluate`."""
        logs: dict[str, Any] = {}
        self._model.reset_metrics()
        for batch in batches:
            logs = self._test(batch)
        return _numbers(logs)

    def _distributed(self, batches: tf.data.Dataset) -> Any:
        replicas = len(self._strategy.extended.worker_devices)
        if replicas == 1:
            return batches

        def split(*batch: Any) -> tuple[Any, ...]:
            return tuple(tf.reshape(x, (replicas, -1, *x.shape[1:])) for x in batch)

        return self._strategy.distribute_datasets_from_function(
            lambda context: batches.map(split).unbatch()
        )

    def _over_workers(self, step: Any) -> Any:
        def run(batch: Any) -> dict[str, Any]:
            shown = self._strategy.run(step, args=(batch,))
            # The step's own figures are those of each replica.
            metrics = self._model.get_metrics_result()
            return {name: metrics[name] for name in shown}

        return tf.function(run, reduce_retracing=True)


def _numbers(logs: dict[str, Any]) -> Logs:
    return {name: float(value) for name, value in logs.items()}
