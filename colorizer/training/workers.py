"""The workers that train together: what they add up, agree on, and how one of them is missed."""

import hashlib
import os
import signal
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer.command import note
from colorizer.training.cluster import Cluster
from colorizer.training.meeting import meet
from pipelines.errors import ColorizerError, WorkerLostError

# How long the first workers wait for the last one to begin.
START_MINUTES = 10.0
# What TensorFlow raises where another worker is gone: its own service of heartbeats, or the
# network that a sum over the workers came to an end on.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


class Workers:
    """The processes that train together, each on its part of every batch; often there is but one.

    All of them run the same program. Where they must do the same, what decides it is added up over
    all of them first; every call of such a method waits for all workers.

    Args:
        strategy: under which the networks are built.
        index: the place of this process among them; the first one is the chief.
        count: the number of workers.
    """

    def __init__(self, strategy: tf.distribute.Strategy, index: int = 0, count: int = 1) -> None:
        self.strategy, self.index, self.count = strategy, index, count

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.index == 0

    def sums(self, values: Sequence[float]) -> np.ndarray:
        """Gives the values added up over all workers, in float64."""
        own = np.array(values, np.float64)
        if self.count == 1:
            return own
        try:
            return np.asarray(_adder(self.strategy)(tf.constant(own)))
        except tf.errors.OpError as error:
            raise self.explained(error) or error from error

    def any(self, *wishes: bool) -> list[bool]:
        """Says of each wish whether any worker has it."""
        return [bool(number) for number in self.sums([float(wish) for wish in wishes])]

    def wait(self) -> None:
        """Returns when all workers have come here."""
        self.sums([0.0])

    def require_same(self, what: str, text: str) -> None:
        """Compares a text over all workers.

        Raises:
            ColorizerError: they differ. All workers raise it.
        """
        # Six bytes, which float64 holds exactly, in a place of its own for each worker.
        number = float(int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big"))
        told = self.sums([number if place == self.index else 0.0 for place in range(self.count)])
        others = [place for place in range(self.count) if told[place] != told[0]]
        if others:
            raise ColorizerError(f"worker {others[0]} has other {what} than worker 0")

    def explained(self, error: Exception) -> WorkerLostError | None:
        """Gives what the error means where it speaks of a lost worker."""
        if isinstance(error, WorkerLostError):
            return error
        if self.count > 1 and isinstance(error, _LOST):
            return WorkerLostError(
                f"worker {self.index} has lost another worker: what ended that one, it has told"
                " itself; start all of them again with --resume"
            )
        return None


def join(cluster: Cluster) -> Workers:
    """Waits for all workers of the cluster.

    To be called before TensorFlow computes anything.

    Raises:
        WorkerLostError: they did not all come within START_MINUTES.
    """
    note(f"worker {cluster.index}, process {os.getpid()}: waiting for the others")
    meet(cluster, START_MINUTES)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise WorkerLostError(f"worker {cluster.index}: {error.message.splitlines()[0]}") from error
    # TensorFlow takes SIGTERM for itself.
    signal.signal(signal.SIGTERM, handler)
    return Workers(strategy, cluster.index, len(cluster.addresses))


@cache
def _adder(strategy: tf.distribute.Strategy) -> Any:
    return tf.function(lambda values: strategy.reduce("SUM", values, axis=None))
