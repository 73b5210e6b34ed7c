"""The README followed word by word in a fresh virtual environment, each command timed.

A copy of the repository gets what the README speaks of without saying where it comes from:
photos/train, photos/val and photos/test (the photos of samples/), old_album/ (the old photographs
of samples/), scan.tif and old.jpg (one of them). So trainings are short because photos are few, not
because a command was changed. What scripts/ sets up is an environment beside (VENV), so that all
other commands run in the plain installation. Prints a Markdown table; fails where a command does.

# All of it:
    python benchmarks/newcomer.py --folder /tmp/newcomer
# In parts, in the README's order:
    python benchmarks/newcomer.py --folder /tmp/newcomer --section Train
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import av
from documented import Documented, documented, named_files
from PIL import Image
from pydantic import BaseModel, ConfigDict

from colorizer.command import note, parse, run
from colorizer.files import write_json
from pipelines.errors import ColorizerError, UsageError

ROOT = Path(__file__).resolve().parent.parent
ACTIVATE = "source .venv/bin/activate"
# What begins so is not run, and why.
SKIPPED = {
    "pip install '.[gpu]'": "gigabytes, for a GPU",
    "scripts/test": "what CI runs",
    "scripts/train_shipped ": "eleven hours, photos from public repositories",
    "TF_CONFIG=": "wants two machines; scripts/train_workers.py stands in for them in a test",
}
# What begins so goes on until it is stopped; it is ready when this answers.
SERVERS = {
    "python -m models_export.serve ": "http://127.0.0.1:8501/readyz",
    "tensorboard ": "http://127.0.0.1:6006/",
}
READY_SECONDS = 120


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    folder: Path
    """Where the copy and its environment stand; kept, so that a later part goes on there."""
    section: tuple[str, ...] = ()
    """Only these sections of the README. Left out: all, in a new folder."""


class Outcome(NamedTuple):
    """What became of a command: seconds and exit code, or why it was left out."""

    section: str
    line: str
    seconds: float
    code: int
    skipped: str = ""


class Newcomer:
    """Somebody who types what the README says, in a copy of the repository.

    Args:
        home: the copy.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._servers: list[subprocess.Popen[bytes]] = []
        hidden = ("VIRTUAL_ENV", "PYTHONPATH", "COLORIZER_PHOTOS")
        self._environment = {key: text for key, text in os.environ.items() if key not in hidden}
        self._environment |= {
            "TFDS_DATA_DIR": str(home / "tensorflow_datasets"),
            "VENV": ".venv-scripts",
        }

    def follow(self, commands: list[Documented]) -> list[Outcome]:
        """Runs the commands of a section, and ends what goes on after them."""
        outcomes = [self._typed(command) for command in commands]
        for server in self._servers:
            server.send_signal(signal.SIGTERM)
            if server.wait(READY_SECONDS) not in (0, 143, -signal.SIGTERM):
                raise ColorizerError(f"{server.args!r}: ended with {server.returncode}")
        self._servers.clear()
        return outcomes

    def _typed(self, command: Documented) -> Outcome:
        line = command.line
        for beginning, why in SKIPPED.items():
            if line.startswith(beginning):
                return Outcome(command.section, line, 0.0, 0, why)
        note(line)
        server = next((url for word, url in SERVERS.items() if line.startswith(word)), None)
        started = time.perf_counter()
        code = self._served(line, server) if server else self._ended(command)
        return Outcome(command.section, line, time.perf_counter() - started, code)

    def _ended(self, command: Documented) -> int:
        with (self.home / "newcomer.log").open("ab") as log:
            done = subprocess.run(
                self._words(command), cwd=self.home, env=self._environment, stdout=log, stderr=log
            )
        if done.returncode:
            last = (self.home / "newcomer.log").read_text(errors="replace").splitlines()[-5:]
            note("\n".join(last))
        return done.returncode

    def _served(self, line: str, url: str) -> int:
        with (self.home / "newcomer.log").open("ab") as log:
            words = ["bash", "-c", f"{ACTIVATE} && exec {line}"]
            server = subprocess.Popen(
                words, cwd=self.home, env=self._environment, stdout=log, stderr=log
            )
        self._servers.append(server)
        deadline = time.monotonic() + READY_SECONDS
        while server.poll() is None and time.monotonic() < deadline:
            try:
                urlopen(url, timeout=5).close()  # noqa: S310  (our own http address)
            except OSError:
                time.sleep(0.1)
            else:
                return 0
        self._servers.remove(server)
        server.kill()
        return server.wait() or 1

    def _words(self, command: Documented) -> list[str]:
        activated = (self.home / ".venv").is_dir()
        if command.is_python:
            return [".venv/bin/python", "-c", command.line]
        return ["bash", "-c", f"{ACTIVATE} && {command.line}" if activated else command.line]


def furnish(home: Path) -> None:
    """Copies the repository as it stands, and lays out what the README speaks of."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name)
    lay_out(home, ROOT / "samples")


def lay_out(home: Path, samples: Path) -> None:
    """Gives a folder what the README speaks of without saying where it comes from."""
    for name, content in named_files(ROOT / "README.md").items():
        (home / name).write_text(content, encoding="utf-8")
    for name, source in (("train", "train"), ("val", "val"), ("test", "val")):
        shutil.copytree(samples / "photos" / source, home / "photos" / name)
    shutil.copytree(samples / "historical", home / "old_album")
    with Image.open(home / "old_album" / "migrant_mother_1936.jpg") as old:
        old.save(home / "scan.tif")
        old.save(home / "old.jpg")
        _pan(old.convert("RGB"), home / "film.mp4")
    shutil.copy(samples / "photos" / "train" / "skimage_astronaut.jpg", home / "astronaut.jpg")


def _pan(photo: Image.Image, path: Path) -> None:
    """Makes a film of a dozen frames."""
    with av.open(path, "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for shift in range(0, 24, 2):
            part = photo.crop((shift, 0, shift + 320, 240))
            film.mux(stream.encode(av.VideoFrame.from_image(part)))
        film.mux(stream.encode())


def table(outcomes: list[Outcome]) -> str:
    """Writes the outcomes as Markdown."""
    lines = ["| README, section | command | seconds | exit code |", "| --- | --- | ---: | ---: |"]
    for section, line, seconds, code, skipped in outcomes:
        shown = "; ".join(filter(None, line.splitlines())).replace("|", "\\|")
        told = f"not run: {skipped} | " if skipped else f"{seconds:.1f} | {code}"
        lines.append(f"| {section} | `{shown}` | {told} |")
    ran = [outcome for outcome in outcomes if not outcome.skipped]
    total = sum(outcome.seconds for outcome in ran)
    return "\n".join([*lines, f"| | {len(ran)} commands | {total:.0f} | |"])


def _command() -> int:
    arguments = parse(Arguments, prog="python benchmarks/newcomer.py", description=__doc__ or "")
    home = arguments.folder.resolve()
    commands = documented(ROOT / "README.md")
    sections = list(dict.fromkeys(command.section for command in commands))
    if unknown := set(arguments.section) - set(sections):
        raise UsageError(f"--section {min(unknown)}: there are {', '.join(sections)}")
    if not home.exists():
        furnish(home)
    elif not arguments.section:
        raise UsageError(f"--folder {home}: is there already; another one, or --section")
    notes = home / "newcomer.json"
    told = [Outcome(*row) for row in json.loads(notes.read_text())] if notes.exists() else []
    newcomer = Newcomer(home)
    for section in arguments.section or sections:
        done = newcomer.follow([one for one in commands if one.section == section])
        told = [row for row in told if row.section != section] + done
        told.sort(key=lambda row: sections.index(row.section))
        write_json(notes, [list(row) for row in told])
    print(table(told))
    failed = [outcome for outcome in told if outcome.code]
    for outcome in failed:
        note(f"failed: {outcome.line}")
    return 1 if failed else 0


if __name__ == "__main__":
    run(_command)
