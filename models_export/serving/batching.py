"""Requests that come close together run as one batch, on one TensorFlow executor."""

import threading
import time
from collections import deque
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from models_export.serving.servable import Servable
from models_export.serving.statuses import Code, ServingError

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BatchingParameters:
    """TensorFlow Serving's batching parameters.

    Attributes:
        max_batch_size: rows of a batch.
        batch_timeout_micros: how long the first request of a batch waits for others.
        max_enqueued_batches: batches that may wait; what comes then is refused.
    """

    max_batch_size: int = 16
    batch_timeout_micros: int = 2000
    max_enqueued_batches: int = 16


# Compared by identity: arrays are not equal or unequal as a whole.
@dataclass(eq=False)
class _Task:
    servable: Servable
    signature: str
    inputs: Tensors
    rows: int
    answer: "Future[dict[str, np.ndarray]]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> Hashable:
        """Tasks of one kind fit into one batch."""
        shapes = tuple((name, value.shape[1:], value.dtype) for name, value in self.inputs.items())
        return self.servable, self.signature, shapes


class Batcher:
    """Runs requests in batches, one batch at a time.

    Args:
        parameters: of the batches; None: each request runs alone.
    """

    def __init__(self, parameters: BatchingParameters | None = None) -> None:
        self._parameters = parameters or BatchingParameters(
            max_batch_size=1, batch_timeout_micros=0
        )
        self._capacity = self._parameters.max_batch_size * self._parameters.max_enqueued_batches
        self._tasks: deque[_Task] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(
        self, servable: Servable, signature: str, inputs: Tensors
    ) -> "Future[dict[str, np.ndarray]]":
        """Puts a request in the queue; gives what will hold its outputs.

        Raises:
            ServingError: the queue is full, or closed.
        """
        firsts = {value.shape[0] if value.ndim else 0 for value in inputs.values()}
        # Without a common first dimension it is a batch of its own.
        rows = firsts.pop() if len(firsts) == 1 else 0
        task = _Task(servable, signature, inputs, rows)
        with self._changed:
            if self._closed:
                raise ServingError(Code.UNAVAILABLE, "The server is shutting down")
            if self._tasks and self._rows + max(1, rows) > self._capacity:
                raise ServingError(
                    Code.UNAVAILABLE,
                    "The batch scheduling queue to which this task was submitted is full;"
                    f" currently {len(self._tasks)} tasks enqueued",
                )
            self._tasks.append(task)
            self._rows += max(1, rows)
            self._changed.notify()
        return task.answer

    def close(self) -> None:
        """Takes no more requests, runs those that wait, and returns when all are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._run_next():
            # What has been answered is held by no variable here while the next is awaited.
            pass

    def _run_next(self) -> bool:
        """Waits for a batch and runs it; False when closed and done."""
        batch = self._next_batch()
        running = [task for task in batch if task.answer.set_running_or_notify_cancel()]
        if len(running) > 1:
            self._run_together(running)
        else:
            for task in running:
                _run_alone(task)
        return bool(batch)

    def _next_batch(self) -> list[_Task]:
        """Waits for tasks; none when closed and done."""
        with self._changed:
            while not self._tasks and not self._closed:
                self._changed.wait()
            if not self._tasks:
                return []
            first = self._tasks[0]
            ends = first.since + self._parameters.batch_timeout_micros / 1e6
            while not self._closed and len(self._fitting(first)) == len(self._tasks):
                left = ends - time.monotonic()
                if left <= 0 or self._rows >= self._parameters.max_batch_size:
                    break
                self._changed.wait(left)
            batch = self._fitting(first)
            for task in batch:
                self._tasks.remove(task)
                self._rows -= max(1, task.rows)
            return batch

    def _fitting(self, first: _Task) -> list[_Task]:
        """The first task and those behind it that fit into one batch with it."""
        batch, rows = [first], first.rows
        if not first.rows:
            return batch
        for task in list(self._tasks)[1:]:
            if task.rows and task.kind == first.kind:
                if rows + task.rows > self._parameters.max_batch_size:
                    break
                batch.append(task)
                rows += task.rows
        return batch

    def _run_together(self, tasks: list[_Task]) -> None:
        inputs = {
            name: np.concatenate([task.inputs[name] for task in tasks]) for name in tasks[0].inputs
        }
        rows = sum(task.rows for task in tasks)
        try:
            outputs = tasks[0].servable.run(tasks[0].signature, inputs)
        except ServingError:
            # One of them is to blame, and only that one shall hear of it.
            outputs = {}
        if not outputs or any(value.shape[:1] != (rows,) for value in outputs.values()):
            for task in tasks:
                _run_alone(task)
            return
        start = 0
        for task in tasks:
            end = start + task.rows
            task.answer.set_result({name: value[start:end] for name, value in outputs.items()})
            start = end


def _run_alone(task: _Task) -> None:
    try:
        task.answer.set_result(task.servable.run(task.signature, task.inputs))
        return
    except ServingError as error:
        failure = ServingError(error.code, error.message)
    except Exception as error:
        # Whatever it is, the others go on, and the client is told.
        failure = ServingError(Code.INTERNAL, str(error))
    # Not the one that was caught: that holds the frames it came through, they the photos and the
    # answer, and so itself. Such rings wait for hours for the garbage collector.
    task.answer.set_exception(failure)
