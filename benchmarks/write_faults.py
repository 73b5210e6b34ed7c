"""Lets every kind of write of the writing commands fail once, and looks at what is left.

    python benchmarks/write_faults.py --commands fit colorize

Each command runs undisturbed first, with `failing_writes.c` preloaded, which numbers the calls that
change what lies below its output. Calls of one kind on one place (numbers and hexadecimal names
aside) are a class; of each class the first call and, drawn by `--seed`, `--more` others fail, in
each way:

    broken      this call alone fails, "Input/output error"
    full        this call and all later ones that need room fail, "No space left on device"
    read-only   this call and all later ones fail, "Read-only file system"

Afterwards: the exit code must be 1 and the reason told in a line that names a file, without a
traceback (or 0, and the result whole); nothing under a final name may be half-written; and the
command, run again, must come to the result of the undisturbed run, with nothing left over. Where a
fault leaves just what an earlier one left (the results, and the names and sizes of all else), it is
not run again once more.

Commands run in forks of a process that has imported TensorFlow and computed nothing yet.
"""

import atexit
import ctypes
import errno
import gc
import importlib
import json
import math
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from served import served
from writing_commands import (
    WritingCommand,
    contents,
    damages,
    failures,
    lasting,
    left_over,
    prepared,
    remains,
    writing_commands,
)

from colorizer.command import import_tensorflow, note, parse, run

SHIM = Path(__file__).with_name("failing_writes.c")
WAYS = {"broken": (errno.EIO, 0), "full": (errno.ENOSPC, 1), "read-only": (errno.EROFS, 1)}
# Only these need room on the disk.
NEEDING_ROOM = {"open", "write", "mkdir", "truncate", "allocate", "link", "fsync"}
# A command that has not ended by then hangs.
MOST_SECONDS = 120
# Their threads would be missing in the forks, which import them anew.
STARTING_THREADS = ("onnxruntime", "tf2onnx")


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    commands: tuple[str, ...] = ()
    """Which commands; left out: all."""
    ways: tuple[str, ...] = tuple(WAYS)
    """In which ways calls fail."""
    more: Annotated[int, Field(ge=0)] = 0
    """How many calls of each class fail, one at a time, besides the first."""
    seed: int = 0
    """Draws them."""
    minutes: Annotated[float, Field(gt=0)] = math.inf
    """Ends after about so many; started again with the same WORK it goes on."""
    work: Path | None = None
    """Folder to work in, kept afterwards; inputs and outcomes that are there are taken."""


class Call(NamedTuple):
    """A call that the preloaded library has seen."""

    number: int
    name: str
    path: str

    @property
    def kind(self) -> str:
        """What calls of one class have in common."""
        # Photos lie in several folders.
        place = lasting(self.path).replace("/deep", "")
        return f"{self.name} {place}"


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    errors: str
    calls: list[Call]


class Fault(NamedTuple):
    """The failing of a call, in one of `WAYS`."""

    call: Call
    way: str

    def __str__(self) -> str:
        return f"{self.call.kind}, call {self.call.number}, {self.way}"


class Bench:
    """One command with its place, and what it leaves undisturbed.

    Args:
        command: to try.
        place: folder to work in.
    """

    def __init__(self, command: WritingCommand, place: Path) -> None:
        self._command = command
        self._place = place
        self._modules = place / "modules"
        # Links would hide the folder from the preloaded library.
        self._area = place.resolve() / "area"
        self._out = self._area / "out"
        self._taken_up: list[Any] = []
        os.environ.update(command.variables(self._out))
        self._clear()
        done = self._run()
        if done.code:
            raise SystemExit(f"the undisturbed command ended with {done.code}:\n{done.errors}")
        self.calls = done.calls
        self._import_the_same()
        self.whole = contents(self._out)

    def problems(self, fault: Fault) -> tuple[str, list[str]]:
        """Runs the command with one fault, and again; gives how it ended, and what is wrong."""
        self._clear()
        outcome = self._run(fault)
        wrong = [f"half-written: {one}" for one in damages(self._out, self.whole)]
        kind = "told"
        if outcome.code == 0:
            kind = "no difference"
            if contents(self._out) != self.whole:
                wrong.append("exit code 0, and the result is not whole")
        else:
            wrong += self._badly_told(outcome, fault)
        # A disk that is read-only takes nothing back either.
        if fault.way != "read-only" and fault.call.name not in ("unlink", "rmdir"):
            wrong += [f"left over: {one}" for one in left_over(self._out)]
        # What is whole already some commands refuse to make anew.
        if kind == "told" and contents(self._out) != self.whole:
            wrong += self._badly_taken_up()
        return kind, wrong

    def _badly_taken_up(self) -> list[str]:
        found = remains(self._out)
        if found in self._taken_up:
            return []
        again = self._run(again=True)
        wrong = [f"again: left over: {one}" for one in left_over(self._out)]
        if again.code:
            wrong.append(f"again: ended with {again.code}: {again.errors.splitlines()[-1:]}")
        elif (after := contents(self._out)) != self.whole:
            others = [n for n in {*after, *self.whole} if after.get(n) != self.whole.get(n)]
            wrong.append(f"again: another result: {sorted(others)}")
        if not wrong:
            self._taken_up.append(found)
        return wrong

    def _badly_told(self, outcome: Outcome, fault: Fault) -> list[str]:
        told = [line for line in re.split(r"[\r\n]+", outcome.errors) if "error: " in line]
        words = os.strerror(WAYS[fault.way][0])
        wrong = []
        if outcome.code != 1:
            wrong.append(f"exit code {outcome.code}")
        if "Traceback" in outcome.errors or "Exception ignored" in outcome.errors:
            wrong.append("a traceback")
        # A job names the photo that has no result, and goes on.
        places = (str(self._area), *failures(self._out))
        if not any(words in line and place in line for line in told for place in places):
            wrong.append(f"not told: {told or outcome.errors.splitlines()[-3:]}")
        wrong += [f"names no result: {line}" for line in told if ".partial" in line]
        return wrong

    def _run(self, fault: Fault | None = None, *, again: bool = False) -> Outcome:
        log, errors = self._place / "calls", self._place / "errors"
        self._modules.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            self._become_the_command(log, errors, fault, again)
        _, status = os.waitpid(child, 0)
        calls = []
        for line in log.read_text(encoding="utf-8", errors="backslashreplace").splitlines():
            number, name, path = line.removesuffix(" failed").split(" ", 2)
            calls.append(Call(int(number), name, path.replace(str(self._area), "", 1)))
        text = errors.read_text(encoding="utf-8", errors="backslashreplace")
        return Outcome(os.waitstatus_to_exitcode(status), text, calls)

    def _become_the_command(
        self, log: Path, errors: Path, fault: Fault | None, again: bool
    ) -> None:
        written = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        signal.alarm(MOST_SECONDS)
        number, (error, after) = (fault.call.number, WAYS[fault.way]) if fault else (0, (0, 0))
        arm: Any = ctypes.CDLL(None).writes_arm
        arm(os.fsencode(self._area), number, error, after, os.fsencode(log))
        atexit.register(lambda: self._modules.write_text("\n".join(sys.modules), encoding="utf-8"))
        sys.argv = [self._command.module, *self._command.argv(self._out, again=again)]
        if self._command.module.endswith(".py"):
            runpy.run_path(self._command.module, run_name="__main__")
        else:
            runpy.run_module(self._command.module, run_name="__main__", alter_sys=True)
        raise SystemExit("the command did not end itself")

    def _import_the_same(self) -> None:
        """Imports what the command has imported: the forks to come are spared it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = self._modules.read_text(encoding="utf-8").splitlines()
            for name in [one for one in names if not one.startswith(STARTING_THREADS)]:
                # Some are no files, and some want to be imported by others only.
                with suppress(Exception):
                    importlib.import_module(name)
        gc.freeze()
        if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
            note(f"{threads} threads before the forks")

    def _clear(self) -> None:
        shutil.rmtree(self._area, ignore_errors=True)
        self._area.mkdir(parents=True)


def faults_of(
    calls: Sequence[Call], ways: Sequence[str], more: int, draw: random.Random
) -> list[Fault]:
    """The faults to try: of each class of calls the first one, and some others."""
    classes: dict[str, list[Call]] = {}
    for call in calls:
        classes.setdefault(call.kind, []).append(call)
    faults = []
    for members in classes.values():
        others = draw.sample(members[1:], min(more, len(members) - 1))
        for call in (members[0], *others):
            own = [way for way in ways if way != "full" or call.name in NEEDING_ROOM]
            faults += [Fault(call, way) for way in own]
    return faults


def _preloaded(work: Path) -> None:
    """Begins again with the library that lets calls fail."""
    library = work.resolve() / "failing_writes.so"
    if str(library) in os.environ.get("LD_PRELOAD", ""):
        return
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SHIM), "-ldl"], check=True
    )
    os.environ["LD_PRELOAD"] = str(library)
    os.execv(sys.executable, [sys.executable, *sys.argv, "--work", str(work)])  # noqa: S606  (this program once more)


def _try_command(
    name: str, command: WritingCommand, work: Path, arguments: Arguments, until: float
) -> int:
    """Tries one command; gives how many faults were not borne well."""
    place = work / name.replace(" ", "_")
    bench = Bench(command, place)
    faults = faults_of(bench.calls, arguments.ways, arguments.more, random.Random(arguments.seed))
    known = place.with_suffix(".json")
    outcomes: dict[str, list[str]] = json.loads(known.read_text()) if known.exists() else {}
    for fault in faults:
        if str(fault) in outcomes or time.monotonic() > until:
            continue
        kind, wrong = bench.problems(fault)
        outcomes[str(fault)] = [kind, *wrong]
        known.write_text(json.dumps(outcomes, indent=2), encoding="utf-8")
        for one in wrong:
            note(f"{name}: {fault}: {one}")
    tried = [outcomes[str(fault)] for fault in faults if str(fault) in outcomes]
    ends = Counter(kind for kind, *_ in tried)
    bad = sum(len(outcome) > 1 for outcome in tried)
    classes = len({call.kind for call in bench.calls})
    cells = (len(bench.calls), classes, f"{len(tried)} of {len(faults)}")
    print(
        f"| {name} | {' | '.join(map(str, (*cells, ends['told'], ends['no difference'], bad)))} |"
    )
    return bad


def _command() -> int:
    arguments = parse(
        Arguments, prog="python benchmarks/write_faults.py", description=__doc__ or ""
    )
    until = time.monotonic() + 60 * arguments.minutes
    work = arguments.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    _preloaded(work)
    inputs = prepared(work)
    # Before the forks, which share it.
    import_tensorflow()
    names = arguments.commands or tuple(writing_commands(inputs))
    print("| command | calls | classes | faults | told | no difference | borne badly |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    bad = 0
    for name in names:
        if time.monotonic() > until:
            break
        if name == "client":
            with served(inputs.export.parent) as server:
                known = inputs._replace(url=f"http://{server.address}")
                bad += _try_command(name, writing_commands(known)[name], work, arguments, until)
        else:
            bad += _try_command(name, writing_commands(inputs)[name], work, arguments, until)
    return 1 if bad else 0


if __name__ == "__main__":
    run(_command)
