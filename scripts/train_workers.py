"""Trains with several workers on this machine, and starts them again where one is lost.

What stands after -- goes to `python -m colorizer.fit`. Each worker is such a process; TF_CONFIG,
with free ports of this machine, tells them of each other. Ctrl-C and SIGTERM are passed on. Where a
worker is killed the others end too, and all begin again with --resume.

Exit codes are those of fit; 75 where workers were lost more often than --restarts.

Example: python scripts/train_workers.py --workers 2 -- --data photos/train --run-dir runs/first
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Annotated

import tyro
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import note, parse, run
from pipelines.errors import UsageError, WorkerLostError

PROG = "python scripts/train_workers.py"
# How long the others may take to notice that one has ended; TensorFlow's heartbeats miss it
# within ten seconds.
GRACE_SECONDS = 60.0
STOPPED = (130, 143)


class Settings(BaseModel):
    """The command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arguments: Annotated[tuple[str, ...], tyro.conf.Positional]
    """The arguments of fit, after --."""
    workers: int = Field(2, ge=2)
    """Processes that train together."""
    restarts: int = Field(3, ge=0)
    """How often all may begin again."""


class Group:
    """The workers of one attempt.

    Args:
        arguments: those of fit.
        count: the number of workers.
    """

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "colorizer.fit", *arguments],
                env={**os.environ, "TF_CONFIG": tf_config(addresses, index)},
                # The chief's stdout is the command's.
                stdout=None if index == 0 else subprocess.DEVNULL,
            )
            for index in range(count)
        ]

    def send(self, number: int) -> None:
        """Passes a signal on."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> list[int]:
        """Gives the exit codes when all have ended; after a failure they have but a minute."""
        deadline: float | None = None
        while any(process.poll() is None for process in self._processes):
            if deadline is None and any(process.returncode for process in self._processes):
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() >= deadline:
                note("workers still wait for one that has ended: killed")
                self.send(signal.SIGKILL)
            time.sleep(0.1)
        return [process.returncode for process in self._processes]


def free_ports(count: int) -> list[int]:
    """Finds ports of this machine that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def tf_config(addresses: Sequence[str], index: int) -> str:
    """What TF_CONFIG says to the worker of that index."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": task})


def judged(codes: Sequence[int]) -> int | None:
    """Gives the exit code that the workers' codes amount to, None where they may begin again.

    A worker that failed by itself decides: the others only missed it. One that was killed, or lost
    the others without any that failed, is worth another attempt.
    """
    own = [code for code in codes if code > 0 and code not in (os.EX_TEMPFAIL, *STOPPED)]
    if own:
        return own[0]
    if any(code < 0 or code == os.EX_TEMPFAIL for code in codes):
        return None
    return max(codes)


def train(settings: Settings) -> int:
    """Runs the workers until they are done, have failed, or were lost too often.

    Raises:
        WorkerLostError: lost too often.
    """
    arguments, stopped = list(settings.arguments), 0
    group: Group | None = None

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = number
        if group is not None:
            group.send(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell has what it runs in the background ignore Ctrl-C.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    for attempt in range(settings.restarts + 1):
        if attempt:
            note(f"a worker was lost: all begin again ({attempt} of {settings.restarts})")
            arguments += [] if "--resume" in arguments else ["--resume"]
        group = Group(arguments, settings.workers)
        if stopped:
            group.send(stopped)
        code = judged(group.wait())
        if code is not None:
            return code
        if stopped:
            return 128 + stopped
    raise WorkerLostError(f"workers were lost {settings.restarts + 1} times")


def main(argv: Sequence[str] | None = None) -> None:
    """The entry point."""
    run(_command(argv))


def _command(argv: Sequence[str] | None) -> Callable[[], int]:
    def command() -> int:
        settings = parse(Settings, prog=PROG, description=str(__doc__), argv=argv)
        if not settings.arguments:
            raise UsageError("the arguments of fit are missing: they stand after --")
        return train(settings)

    return command


if __name__ == "__main__":
    main()
