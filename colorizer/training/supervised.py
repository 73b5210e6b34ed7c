"""Supervised training: photos in, the network with the lowest validation loss out."""

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from colorizer import losses, models
from colorizer.command import Terminated, note
from colorizer.config import FitConfig
from colorizer.training.averaging import WeightAverage
from colorizer.training.callbacks import NanGuard, ProgressBar, StepKeeper
from colorizer.training.checkpoint import (
    Progress,
    load_progress,
    restore_variables,
    save_checkpoint,
)
from colorizer.training.interruption import OutOfTime, StopRequest
from colorizer.training.optimizer import build_optimizer
from colorizer.training.pictures import sample_grid, save_learning_curve, save_picture
from colorizer.training.run_folder import RunFolder
from pipelines.batches import evaluation_batches, steps_per_epoch, training_batches
from pipelines.errors import ColorizerError
from pipelines.preparation import PreparedPhotos

SAMPLES = 8


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Sets Keras's global dtype policy while the body runs."""
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(kept)


class SupervisedTraining:
    """One training run of a network that reads lightness and predicts ab.

    Args:
        config: what to train and how.
        folder: where the run is kept.
        train: training photos.
        val: validation photos.
        stop: says when to stop before the last epoch.
    """

    def __init__(
        self,
        config: FitConfig,
        folder: RunFolder,
        train: PreparedPhotos,
        val: PreparedPhotos,
        stop: StopRequest,
    ) -> None:
        self.config, self.folder = config, folder
        self.train, self.val = train, val
        self.stop = stop
        self.steps = steps_per_epoch(train, config.batch_size)
        self.progress = Progress()
        keras.utils.set_random_seed(config.seed)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        with dtype_policy(config.precision):
            self.model = models.build(config.model, **config.network_arguments())
            self.model.compile(
                optimizer=build_optimizer(
                    learning_rate=config.learning_rate,
                    schedule=config.schedule,
                    warmup_steps=config.warmup_steps,
                    total_steps=config.epochs * self.steps,
                    weight_decay=config.weight_decay,
                ),
                loss=losses.by_name(config.loss),
                # XLA trains convolutions 2 to 10 times slower on a CPU.
                jit_compile=bool(tf.config.list_physical_devices("GPU")),
            )
        self.model.optimizer.build(self.model.trainable_variables)
        self.average = WeightAverage(self.model.trainable_variables, config.ema)
        self.samples = _samples(val)

    def resume(self) -> None:
        """Takes the run up where its latest checkpoint left it, if there is one."""
        if not self.folder.checkpoint.exists():
            note(f"{self.folder.path}: no checkpoint yet, starting at the beginning")
            return
        self.progress = load_progress(self.folder.checkpoint)
        restore_variables(self.folder.checkpoint, self._variables())
        note(f"going on after epoch {self.progress.epoch}, step {self.progress.step}")

    def run(self) -> None:
        """Trains to the last epoch, or until a stop is asked for.

        Raises:
            KeyboardInterrupt, Terminated: asked for by signal; a checkpoint has been written.
            ColorizerError: a loss is no longer finite.
        """
        with self.stop.catching_signals():
            try:
                self._run_epochs()
                self.stop.raise_if_signalled()
            except (KeyboardInterrupt, Terminated):
                note(f"stopped: --run-dir {self.folder.path} --resume goes on from here")
                raise
            except tf.errors.OpError as error:
                raise ColorizerError(f"training failed: {_reason(error)}") from error

    def _run_epochs(self) -> None:
        try:
            while self.progress.epoch < self.config.epochs:
                self._run_epoch()
                self.stop.raise_if_due()
        except OutOfTime:
            note(f"{self.config.max_minutes:g} minutes are over: stopped")
            if self.progress.best is None:
                # Not one epoch is finished: what there is, is kept, but in no history.
                self._validate(self.progress.epoch + 1)
                self._write_model()

    def _run_epoch(self) -> None:
        started = time.monotonic()
        if self.progress.step < self.steps:
            self._fit_epoch()
        self._finish_epoch(time.monotonic() - started)

    def _fit_epoch(self) -> None:
        epoch, first_step = self.progress.epoch, self.progress.step
        batches = training_batches(
            self.train,
            self.config.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            first_step=first_step,
        )
        keeper = StepKeeper(
            self.average,
            save=lambda done, logs: self._save(first_step + done, logs),
            restore=self._restore_metrics,
            stop=self.stop,
            save_minutes=self.config.checkpoint_minutes,
        )
        bar = ProgressBar(epoch, self.config.epochs, self.steps, first_step)
        with closing(bar):
            history = self.model.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[NanGuard(), bar, keeper],
            )
        logs = {name: float(values[-1]) for name, values in history.history.items()}
        self.progress.step, self.progress.train_logs = self.steps, logs

    def _finish_epoch(self, seconds: float) -> None:
        progress = self.progress
        row = {
            "epoch": progress.epoch + 1,
            **progress.train_logs,
            **self._validate(progress.epoch + 1),
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(seconds, 1),
        }
        progress.history.append(row)
        if self._is_best(row["val_loss"]):
            progress.best = row["val_loss"]
            self._write_model()
        progress.epoch, progress.step, progress.train_logs = progress.epoch + 1, 0, {}
        self.folder.write_history(progress.history)
        save_learning_curve(self.folder.path / "learning_curve.png", progress.history)
        self._write_scalars(row)
        save_checkpoint(self.folder.checkpoint, self._variables(), progress)
        note(f"epoch {row['epoch']}: loss {row['loss']:.4g}, validation {row['val_loss']:.4g}")

    def _validate(self, epoch: int) -> dict[str, float]:
        """Measures the averaged weights on the validation photos and draws the sample grid."""
        batches = evaluation_batches(self.val, self.config.batch_size)
        with self.average.swapped_in():
            logs = self.model.evaluate(batches, verbose=0, return_dict=True)
            lightness, ab = self.samples
            predicted = self.model.predict_on_batch(lightness)
        grid = sample_grid(lightness, predicted, ab)
        save_picture(self.folder.sample(epoch), grid)
        with self._writer().as_default():
            tf.summary.image("gray | predicted | true", grid[None], step=epoch)
        val_logs = {f"val_{name}": float(value) for name, value in logs.items()}
        if not math.isfinite(val_logs["val_loss"]):
            raise ColorizerError(f"val_loss is {val_logs['val_loss']} after epoch {epoch}")
        return val_logs

    def _is_best(self, val_loss: float) -> bool:
        return self.progress.best is None or val_loss < self.progress.best

    def _write_model(self) -> None:
        with dtype_policy("float32"):
            model = models.build(self.config.model, **self.config.network_arguments())
        with self.average.swapped_in():
            model.set_weights(self.model.get_weights())
        self.folder.write_model(model)

    def _write_scalars(self, row: dict[str, float]) -> None:
        with self._writer().as_default():
            for name, value in row.items():
                tf.summary.scalar(name, value, step=int(row["epoch"]))
        self._writer().flush()

    def _writer(self) -> Any:
        if not hasattr(self, "_tensorboard"):
            self._tensorboard = tf.summary.create_file_writer(str(self.folder.path / "tensorboard"))
        return self._tensorboard

    def _variables(self) -> dict[str, list[keras.Variable]]:
        return {
            "model": self.model.variables,
            "optimizer": self.model.optimizer.variables,
            "average": self.average.variables,
        }

    def _save(self, step: int, logs: dict[str, float]) -> None:
        self.progress.step = step
        self.progress.train_logs = logs if step == self.steps else {}
        variables = {**self._variables(), "metrics": self.model.metrics_variables}
        save_checkpoint(self.folder.checkpoint, variables, self.progress)

    def _restore_metrics(self) -> None:
        if self.progress.step:
            metrics = {"metrics": self.model.metrics_variables}
            restore_variables(self.folder.checkpoint, metrics)


def _reason(error: tf.errors.OpError) -> str:
    """The line that says what went wrong, out of TensorFlow's account of where in the graph."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "out of memory; a smaller --batch-size or --image-size needs less"
    lines = [line.strip() for line in error.message.splitlines()]
    told = [line for line in lines if line and not line.startswith(("[[", "Detected at", "Graph"))]
    return told[-1] if told else type(error).__name__


def _samples(val: PreparedPhotos) -> tuple[np.ndarray, np.ndarray]:
    """Lightness and ab of a few validation photos, evenly spaced: the same ones every epoch."""
    chosen = val.evenly_spaced(SAMPLES)
    return next(evaluation_batches(chosen, SAMPLES).as_numpy_iterator())
