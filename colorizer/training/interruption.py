"""Stopping a training run between two steps, where its state is whole."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from colorizer.command import Terminated


class OutOfTime(Exception):
    """The minutes that the run was given are over."""


class StopRequest:
    """Remembers that a stop was asked for, by signal or by clock.

    Args:
        max_minutes: minutes from now until `raise_if_due` raises OutOfTime; None for no limit.
    """

    def __init__(self, max_minutes: float | None) -> None:
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._signal: int | None = None

    @property
    def is_due(self) -> bool:
        """Whether the run is to stop after the present step."""
        return self._signal is not None or self._out_of_time

    def raise_if_due(self) -> None:
        """Raises what the stop was asked by: KeyboardInterrupt, Terminated or OutOfTime."""
        self.raise_if_signalled()
        if self._out_of_time:
            raise OutOfTime

    def raise_if_signalled(self) -> None:
        """Raises KeyboardInterrupt or Terminated if such a signal has come."""
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal == signal.SIGTERM:
            raise Terminated

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """While the body runs, Ctrl-C and SIGTERM wait for `raise_if_due`."""
        kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in kept:
            signal.signal(number, self._remember)
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    @property
    def _out_of_time(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
