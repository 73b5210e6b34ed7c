"""What the tests of documented commands share: finding them, their own parsers, running them."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from colorizer.config import preset_defaults

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

# What the newcomer reads and lays out is what the tests do.
from documented import documented  # noqa: E402
from newcomer import lay_out  # noqa: E402

__all__ = ["QUICK", "ROOT", "assert_parses", "documented", "furnished", "joined", "ran"]

# A document's command trains for an hour; the same one is tried with less.
QUICK = "--preset smoke --epochs 2 --image-size 64"


class Parsed(BaseException):
    """A command's parser has accepted its arguments; the command goes no further."""


def joined(text: str) -> list[str]:
    """The lines of `text` without remarks and empty ones; those that end in a backslash go on."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def assert_parses(
    line: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    import_script: Callable[[str], ModuleType],
) -> None:
    """Hands `python -m MODULE ...` or `python scripts/NAME.py ...` to the command's own parser.

    `home` gets the run that `--resume` wants to find.
    """
    words = shlex.split(line)
    assert words.pop(0) == "python", line
    if words[0] == "-m":
        module, argv = importlib.import_module(words[1]), words[2:]
    else:
        name = words[0].removeprefix("scripts/").removesuffix(".py")
        module, argv = import_script(name), words[1:]
    stored = home / "runs" / "first" / "config.json"
    if not stored.exists():
        stored.parent.mkdir(parents=True)
        places = {"data": Path("photos"), "run_dir": stored.parent}
        stored.write_text(preset_defaults("base").model_copy(update=places).model_dump_json())
    parse = module.parse

    def parsed(*args: Any, **more: Any) -> NoReturn:
        parse(*args, **more)
        raise Parsed

    with monkeypatch.context() as patched:
        patched.chdir(home)
        patched.setattr(module, "parse", parsed)
        patched.setattr(module, "run", lambda command: command())
        patched.setattr(sys, "argv", [words[0], *argv])
        with pytest.raises(Parsed):
            module.main()


def ran(home: Path, line: str) -> str:
    """Runs `python ...` in `home`; returns what it printed.

    Raises:
        AssertionError: it failed, or warned.
    """
    words = shlex.split(line)
    if words[1].startswith("scripts/"):
        words[1] = str(ROOT / words[1])
    env = os.environ | {"TFDS_DATA_DIR": str(home / "tensorflow_datasets")}
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=home, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    return done.stdout


def furnished(home: Path) -> Path:
    """Gives a folder what the documents speak of; what they need more belongs into `lay_out`."""
    lay_out(home, ROOT / "samples")
    shutil.copytree(ROOT / "samples", home / "samples")
    return home
