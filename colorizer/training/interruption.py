"""Stopping a training run between two steps, where its state is whole."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from colorizer.command import Terminated


class OutOfTime(Exception):
    """The minutes that the run was given are over."""


class StopRequest:
    """Remembers that a stop was asked for, by signal or by clock.

    Args:
        max_minutes: minutes from now until `raise_if_due` raises OutOfTime; None for no limit.

    Attributes:
        ask_all: given what this worker wishes, says of each wish whether any worker has it. Several
            workers must stop at the same step, or those that go on would wait for the others.
    """

    ask_all: Callable[..., list[bool]]

    def __init__(self, max_minutes: float | None) -> None:
        self.ask_all = lambda *wishes: list(wishes)
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._signal: int | None = None

    @property
    def is_due(self) -> bool:
        """Whether the run is to stop after the present step."""
        return any(self._asked())

    def raise_if_due(self) -> None:
        """Raises what the stop was asked by: KeyboardInterrupt, Terminated or OutOfTime."""
        if self._raise_if_signalled():
            raise OutOfTime

    def raise_if_signalled(self) -> None:
        """Raises KeyboardInterrupt or Terminated if such a signal has come."""
        self._raise_if_signalled()

    def _raise_if_signalled(self) -> bool:
        interrupted, terminated, out_of_time = self._asked()
        if interrupted:
            raise KeyboardInterrupt
        if terminated:
            raise Terminated
        return out_of_time

    def _asked(self) -> list[bool]:
        number = self._signal
        return self.ask_all(number == signal.SIGINT, number == signal.SIGTERM, self._out_of_time)

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """While the body runs, Ctrl-C and SIGTERM wait for `raise_if_due`.

        One that is ignored, as Ctrl-C is by what a shell runs in the background, stays so.
        """
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        kept = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}
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
