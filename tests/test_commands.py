"""What holds for every command."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import assert_parses, joined

from colorizer import command
from pipelines.errors import ColorizerError, UsageError

COMMANDS = [
    "colorizer.build_dataset",
    "colorizer.fit",
    "colorizer.evaluate",
    "colorizer.colorize",
    "models_export.export",
    "models_export.serve",
    "models_export.client",
    "models_export.batch",
]


def ended(function, capsys) -> tuple[int, str]:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            command.run(function)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return caught.value.code, capsys.readouterr().err


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize("module", COMMANDS)
def test_help_answers_without_loading_tensorflow(module):
    script = (
        "import runpy, sys\n"
        f"sys.argv = [{module!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__')\n"
        "except SystemExit as ended:\n"
        "    heavy = {'tensorflow', 'keras', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        "    sys.exit(ended.code or f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module}" in done.stdout
    assert "--" in done.stdout and done.stderr == ""
    assert "Examples:\n  # " in done.stdout and f"\n  python -m {module} " in done.stdout


@pytest.mark.parametrize("module", COMMANDS)
def test_examples_of_the_help_are_command_lines(module, tmp_path, monkeypatch, import_script):
    imported = importlib.import_module(module)
    examples = imported.EXAMPLES
    lines = joined(examples)
    assert len(lines) >= 2
    for line in lines:
        assert line.startswith(f"python -m {module} ")
        assert_parses(line, tmp_path, monkeypatch, import_script)


@pytest.mark.parametrize("module", COMMANDS)
def test_wrong_usage_exits_with_2(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--no-such-flag"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no-such-flag" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("function", "code", "printed"),
    [
        (lambda: None, 0, ""),
        (lambda: 1, 1, ""),
        (raising(ColorizerError("a.jpg: empty file")), 1, "error: a.jpg: empty file\n"),
        (raising(UsageError("--style vivid: one style only")), 2, "error: --style vivid"),
        (raising(ValueError("odd\nmore")), 1, "error: ValueError: odd\n"),
        (raising(OSError(28, "No space left on device", b"a")), 1, "error: a: No space left"),
        (raising(KeyboardInterrupt()), 130, ""),
        (raising(command.Terminated()), 143, ""),
    ],
)
def test_exit_codes_and_one_line(function, code, printed, capsys, monkeypatch):
    monkeypatch.delenv("COLORIZER_DEBUG", raising=False)
    got, errors = ended(function, capsys)
    assert got == code
    assert errors.startswith(printed) and errors.count("\n") <= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("printed", ["'scores'", "'scores', flush=True"])
def test_results_that_cannot_be_printed_are_told(printed):
    script = f"from colorizer.command import run\nrun(lambda: print({printed}))"
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], env=buffered, stdout=full, stderr=subprocess.PIPE
        )
    told = b"error: stdout: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_sigterm_ends_with_143(capsys):
    code, _ = ended(lambda: signal.raise_signal(signal.SIGTERM), capsys)
    assert code == 143


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("COLORIZER_DEBUG", "1")
    _, errors = ended(raising(ValueError("odd")), capsys)
    assert "Traceback" in errors
