"""The training loop: epoch by epoch, with checkpoints, to the network that validates best."""

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer import models
from colorizer.command import Terminated, note
from colorizer.config import FitConfig
from colorizer.training.callbacks import AverageUpdater, NanGuard, ProgressBar, StepKeeper
from colorizer.training.checkpoint import (
    Groups,
    Progress,
    load_progress,
    restore_variables,
    save_checkpoint,
)
from colorizer.training.interruption import OutOfTime, StopRequest
from colorizer.training.pictures import sample_grid, save_learning_curve, save_picture
from colorizer.training.precision import dtype_policy
from colorizer.training.run_folder import RunFolder
from colorizer.training.task import Task
from colorizer.training.workers import Workers
from pipelines.batches import evaluation_batches, steps_per_epoch, training_batches
from pipelines.errors import ColorizerError, NotWrittenError
from pipelines.preparation import PreparedPhotos

SAMPLES = 8
# So far apart, at least, the learning curve is drawn: epochs of a second would mostly draw.
CURVE_SECONDS = 10.0


class TrainingLoop:
    """One training run.

    Args:
        config: what to train and how.
        folder: where the run is kept.
        task: the network that learns, and how.
        train: training photos.
        val: validation photos.
        stop: says when to stop before the last epoch.
        workers: those that train together.
    """

    def __init__(
        self,
        config: FitConfig,
        folder: RunFolder,
        task: Task,
        train: PreparedPhotos,
        val: PreparedPhotos,
        stop: StopRequest,
        workers: Workers,
    ) -> None:
        self.config, self.folder, self.task = config, folder, task
        self.train, self.stop, self.workers = train, stop, workers
        self.steps = steps_per_epoch(train, config.batch_size, config.epoch_steps)
        self.progress = Progress()
        self.samples = _samples(val)
        self._summaries: Any = None
        self._curve_drawn = -math.inf

    def resume(self) -> None:
        """Takes the run up where its latest checkpoint left it, if there is one."""
        begun = self.folder.checkpoint.exists()
        if begun:
            self.progress = load_progress(self.folder.checkpoint)
        place = f"epoch {self.progress.epoch}, step {self.progress.step}"
        self.workers.require_same("checkpoints in --run-dir", place)
        if not begun:
            note(f"{self.folder.path}: no checkpoint yet, starting at the beginning")
            return
        restore_variables(self.folder.checkpoint, self.task.variables())
        note(f"going on after {place}")

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
                lost = self.workers.explained(error)
                raise lost or ColorizerError(f"training failed: {_reason(error)}") from error

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
        if self.folder.writes and self.progress.history:
            self._draw_curve()

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
            steps=self.steps,
            min_crop=self.config.min_crop,
            part=(self.workers.index, self.workers.count),
        )

        def save(done: int, logs: dict[str, float]) -> None:
            self._save(first_step + done, logs)

        keeper = StepKeeper(
            save=save,
            restore=self._restore_metrics,
            stop=self.stop,
            save_minutes=self.config.checkpoint_minutes,
        )
        bar = ProgressBar(
            epoch, self.config.epochs, self.steps, first_step, shown=self.workers.is_chief
        )
        with closing(bar):
            logs = self.task.trainer.fit(
                batches,
                epoch,
                callbacks=[
                    NanGuard(),
                    AverageUpdater(self.task.average),
                    *self.task.callbacks(self.progress.guard, save),
                    bar,
                    keeper,
                ],
            )
        self.progress.step, self.progress.train_logs = self.steps, logs

    def _finish_epoch(self, seconds: float) -> None:
        progress = self.progress
        row = {
            "epoch": progress.epoch + 1,
            **progress.train_logs,
            **self._validate(progress.epoch + 1),
            "learning_rate": float(self.task.model.optimizer.learning_rate),
            "seconds": round(seconds, 1),
        }
        progress.history.append(row)
        judged_by = self.task.judged_by
        if progress.best is None or row[judged_by] < progress.best:
            progress.best = row[judged_by]
            self._write_model()
        self.task.end_epoch(row, progress.guard)
        progress.epoch, progress.step, progress.train_logs = progress.epoch + 1, 0, {}
        self.folder.write_history(progress.history)
        if self.folder.writes:
            if time.monotonic() - self._curve_drawn >= CURVE_SECONDS:
                self._draw_curve()
            self._write_scalars(row)
        self._write_checkpoint(self.task.variables())
        judgement = f"{judged_by.removeprefix('val_')} {row[judged_by]:.4g}"
        if self.folder.writes:
            note(f"epoch {row['epoch']}: loss {row['loss']:.4g}, validation {judgement}")

    def _validate(self, epoch: int) -> dict[str, float]:
        """Measures the averaged weights on the validation photos and draws the sample grid."""
        with self.task.average.swapped_in():
            logs = self.task.validate()
            lightness, ab = self.samples
            predicted = np.asarray(self.task.network(lightness, training=False))
        if self.folder.writes:
            grid = sample_grid(lightness, predicted, ab)
            save_picture(self.folder.sample(epoch), grid)
            with self._tensorboard():
                tf.summary.image("gray | predicted | true", grid[None], step=np.int64(epoch))
        for name, value in logs.items():
            if "loss" in name and not math.isfinite(value):
                raise ColorizerError(f"{name} is {value} after epoch {epoch}")
        return logs

    def _write_model(self) -> None:
        with dtype_policy("float32"):
            model = models.build(self.config.model, **self.config.network_arguments())
        with self.task.average.swapped_in():
            model.set_weights(self.task.network.get_weights())
        self.folder.write_model(model)

    def _draw_curve(self) -> None:
        save_learning_curve(self.folder.path / "learning_curve.png", self.progress.history)
        self._curve_drawn = time.monotonic()

    def _write_scalars(self, row: dict[str, float]) -> None:
        # TensorFlow keeps a tensor of each Python number that it is ever given; not of NumPy's.
        step = np.int64(row["epoch"])
        with self._tensorboard():
            for name, value in row.items():
                tf.summary.scalar(name, np.float32(value), step=step)

    @contextmanager
    def _tensorboard(self) -> Iterator[None]:
        """Takes what the body says for TensorBoard to its file."""
        place = self.folder.path / "tensorboard"
        try:
            if self._summaries is None:
                self._summaries = tf.summary.create_file_writer(str(place))
            with self._summaries.as_default():
                yield
            self._summaries.flush()
        except tf.errors.OpError as error:
            raise NotWrittenError(place, error) from error

    def _save(self, step: int, logs: dict[str, float]) -> None:
        self.progress.step = step
        self.progress.train_logs = logs if step == self.steps else {}
        variables = {**self.task.variables(), "metrics": self.task.model.metrics_variables}
        self._write_checkpoint(variables)

    def _write_checkpoint(self, variables: Groups) -> None:
        path, write = self.folder.checkpoint, self.folder.writes
        save_checkpoint(path, variables, self.progress, write=write)

    def _restore_metrics(self) -> None:
        if self.progress.step:
            metrics = {"metrics": self.task.model.metrics_variables}
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
