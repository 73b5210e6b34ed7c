"""Kills the writing commands at random moments (SIGKILL), and looks at what is left.

    python benchmarks/kills.py --kills 30 --seed 0

Each command runs undisturbed first, for its result and for the time from its first file to its end.
The moments are drawn evenly from that time. After each kill every file under a final name must be
whole and that of the undisturbed run (of a training: of an earlier time of it); then the command
runs again, with `--resume` or `--skip-existing` where it has that, and must come to the very result
of the undisturbed run, with nothing left over.
"""

import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from writing_commands import (
    WritingCommand,
    contents,
    damages,
    draw_album,
    left_over,
    prepared,
    writing_commands,
)

from colorizer.command import import_tensorflow, note, parse, run

COMMANDS = ("fit", "export", "colorize", "batch", "build_dataset")


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kills: Annotated[int, Field(ge=1)] = 30
    """How many, shared out over the commands in turn."""
    seed: int = 0
    """Draws the moments."""
    commands: tuple[str, ...] = COMMANDS
    """Which commands."""
    photos: Annotated[int, Field(ge=1)] = 24
    """Photos to colour."""
    work: Path | None = None
    """Folder to work in, kept afterwards; inputs that are there are taken."""


class Kill(NamedTuple):
    """What a kill has left.

    Attributes:
        seconds: after the first file.
        files: whole ones.
        left: files and folders under names for work.
        wrong: what should not be.
    """

    seconds: float
    files: int
    left: int
    wrong: list[str]


class Victim:
    """A command, its place, and what it leaves undisturbed.

    Args:
        command: to be killed.
        place: folder to work in.
    """

    def __init__(self, command: WritingCommand, place: Path) -> None:
        self._command, self._out = command, place / "out"
        self._clear()
        process = self._start()
        self._await_first_file(process)
        started = time.monotonic()
        errors = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"the undisturbed command failed:\n{errors}")
        self._span = time.monotonic() - started
        self._whole = contents(self._out)

    def killed(self, draw: random.Random) -> Kill:
        """Kills the command once, and lets it run again."""
        seconds = 0.0
        returned = 0
        # It may have been quicker this time, and ended before.
        while returned != -9:
            self._clear()
            process = self._start()
            self._await_first_file(process)
            seconds = draw.uniform(0.0, self._span)
            time.sleep(seconds)
            process.kill()
            process.communicate()
            returned = process.returncode
        wrong = damages(self._out, self._whole)
        found = contents(self._out) if not wrong else {}
        left = left_over(self._out)
        if found != self._whole:
            wrong += self._run_again()
        return Kill(seconds, len(found), len(left), wrong)

    def _run_again(self) -> list[str]:
        process = self._start(again=True)
        errors = process.communicate()[1]
        if process.returncode:
            return [f"again: ended with {process.returncode}: {errors.splitlines()[-1:]}"]
        after, whole = contents(self._out), self._whole
        others = sorted(one for one in {*after, *whole} if after.get(one) != whole.get(one))
        return [
            *([f"again: another result: {others}"] if others else []),
            *(f"again: left over: {one}" for one in left_over(self._out)),
        ]

    def _start(self, *, again: bool = False) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command.process(self._out, again=again),
            env={**os.environ, **self._command.variables(self._out)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _await_first_file(self, process: "subprocess.Popen[str]") -> None:
        while process.poll() is None and not (self._out.exists() and any(self._out.iterdir())):
            time.sleep(0.002)

    def _clear(self) -> None:
        shutil.rmtree(self._out.parent, ignore_errors=True)
        self._out.parent.mkdir(parents=True)


def _command() -> int:
    arguments = parse(Arguments, prog="python benchmarks/kills.py", description=__doc__ or "")
    work = arguments.work or Path(tempfile.mkdtemp())
    # What reads SavedModels.
    import_tensorflow()
    inputs = prepared(work)
    large = work / "large_album"
    if not large.exists():
        draw_album(large, arguments.photos, (900, 700))
    commands = writing_commands(inputs._replace(album=large), epochs=4)
    victims = {name: Victim(commands[name], work / f"kills_{name}") for name in arguments.commands}
    draw = random.Random(arguments.seed)
    kills: dict[str, list[Kill]] = {name: [] for name in arguments.commands}
    for number in range(arguments.kills):
        name = arguments.commands[number % len(arguments.commands)]
        kill = victims[name].killed(draw)
        kills[name].append(kill)
        wrong = "".join(f"; {one}" for one in kill.wrong)
        note(f"{name}: after {kill.seconds:.2f} s, {kill.files} whole files{wrong}")
    return _told(kills)


def _told(kills: dict[str, list[Kill]]) -> int:
    print("| command | kills | whole files left | parts left | half-written | not resumed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    bad = 0
    for name, ones in kills.items():
        again = sum(any(line.startswith("again") for line in one.wrong) for one in ones)
        half = sum(any(not line.startswith("again") for line in one.wrong) for one in ones)
        files = sorted(one.files for one in ones)
        span = f"{files[0]} to {files[-1]}" if files else "-"
        left = sum(one.left for one in ones)
        print(f"| {name} | {len(ones)} | {span} | {left} | {half} | {again} |")
        bad += half + again
    return 1 if bad else 0


if __name__ == "__main__":
    run(_command)
