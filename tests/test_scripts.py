"""The shell scripts that people and CI call: sound, executable, and clear about wrong usage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL = [
    *(
        ROOT / "scripts" / name
        for name in ("setup", "check", "test", "demo", "train_shipped", "docs", "bounds")
    ),
    ROOT / ".ci/run",
]
names = pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)


def call(
    script: Path, *arguments: str, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
        timeout=60,
    )


def a_copy(folder: Path) -> Path:
    """A checkout with the scripts and what they hash, and nothing to install."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def fake_python(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@names
def test_is_sound_bash_that_stops_at_errors(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


@names
def test_is_executable(script: Path) -> None:
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SHELL[:-1], ids=lambda path: path.name)
def test_help_says_how_to_call_it(script: Path, tmp_path: Path) -> None:
    done = call(script, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: scripts/{script.name}")


@pytest.mark.parametrize("name", ["setup", "check", "demo"])
def test_wrong_usage_exits_with_2(name: str) -> None:
    done = call(ROOT / "scripts" / name, "--nonsense")
    assert done.returncode == 2
    assert "--nonsense" in done.stderr


def test_setup_refuses_a_python_that_does_not_run(tmp_path: Path) -> None:
    copy = a_copy(tmp_path)
    broken = fake_python(tmp_path / "bin/python3.12", "exit 127")
    done = call(copy / "scripts/setup", PYTHON=str(broken), VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert done.stderr == f"error: PYTHON={broken} is not a working Python 3.11 or 3.12\n"
    assert not (tmp_path / "venv").exists()


def test_setup_passes_over_launchers_that_do_not_run(tmp_path: Path) -> None:
    copy = a_copy(tmp_path)
    for name in ("python3.11", "python3.12", "python3", "python"):
        fake_python(tmp_path / "bin" / name, "exit 127")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = call(copy / "scripts/setup", PATH=path, PYTHON="", VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "no working Python 3.11 or 3.12 found" in done.stderr


def test_setup_installs_once_and_again_after_a_change(tmp_path: Path) -> None:
    copy, venv, log = a_copy(tmp_path), tmp_path / "venv", tmp_path / "pip.log"
    # A python in place of the environment's, whose pip only writes down how it was called.
    fake_python(
        venv / "bin/python",
        f'[ "$1 $2" = "-m pip" ] && {{ echo "$@" >>{log}; exit; }}\nexec {sys.executable} "$@"',
    )
    environment = {"VENV": str(venv), "PYTHON": ""}
    assert call(copy / "scripts/setup", **environment).returncode == 0
    assert "--editable .[dev]" in log.read_text(encoding="utf-8")
    again = call(copy / "scripts/setup", **environment)
    assert again.returncode == 0
    assert "up to date" in again.stdout
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1

    with (copy / "setup.cfg").open("a", encoding="utf-8") as config:
        config.write("# changed\n")
    assert call(copy / "scripts/setup", **environment).returncode == 0
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2


def test_setup_leaves_no_stamp_where_pip_failed(tmp_path: Path) -> None:
    copy, venv = a_copy(tmp_path), tmp_path / "venv"
    fake_python(
        venv / "bin/python", f'[ "$1 $2" = "-m pip" ] && exit 5\nexec {sys.executable} "$@"'
    )
    assert call(copy / "scripts/setup", VENV=str(venv), PYTHON="").returncode == 5
    assert not (venv / ".setup-stamp").exists()


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    done = call(ROOT / "scripts/check", cwd=tmp_path, VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "run scripts/setup first" in done.stderr


def test_check_runs_all_tools_and_names_the_failed(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    for tool in ("python", "ruff", "lint-imports"):
        fake_python(venv / "bin" / tool, "exit 0")
    fake_python(venv / "bin/mypy", "echo broken types; exit 1")
    done = call(ROOT / "scripts/check", cwd=tmp_path, VENV=str(venv))
    assert done.returncode == 1
    assert "broken types" in done.stdout
    assert "FAILED: mypy" in done.stderr
    assert "FAILED: ruff" not in done.stderr
    for tool in ("ruff format", "ruff check", "mypy", "lint-imports"):
        assert f"check: {tool}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), ["-m", "not slow"]), (("--slow",), []), (("-k", "a b"), ["-m", "not slow", "-k", "a b"])],
)
@pytest.mark.parametrize("failing", ["nothing", "check", "pytest"])
def test_test_runs_checks_and_pytest(
    tmp_path: Path, arguments: tuple[str, ...], expected: list[str], failing: str
) -> None:
    copy = a_copy(tmp_path)
    fake_python(copy / "scripts/setup", "exit 0")
    fake_python(copy / "scripts/check", f"exit {int(failing == 'check')}")
    log = tmp_path / "pytest.log"
    body = f'for a in "$@"; do echo "$a" >>{log}; done; exit {7 * (failing == "pytest")}'
    fake_python(tmp_path / "venv/bin/python", body)
    done = call(copy / "scripts/test", *arguments, VENV=str(tmp_path / "venv"))
    assert done.returncode == {"nothing": 0, "check": 1, "pytest": 7}[failing]
    called = log.read_text(encoding="utf-8").splitlines()
    assert called == ["-m", "pytest", *expected]


def test_ci_runs_the_test_command(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    fake_python(tmp_path / "scripts/test", 'echo "$PWD $#"; exit 9')
    done = call(tmp_path / ".ci/run", cwd=ROOT)
    assert done.returncode == 9
    assert done.stdout.strip() == f"{tmp_path} 0"


def test_demo_uses_only_the_sample_photos_and_the_contract(tmp_path: Path) -> None:
    copy = a_copy(tmp_path)
    fake_python(copy / "scripts/setup", "exit 0")
    log = tmp_path / "calls.log"
    fake_python(tmp_path / "venv/bin/python", f'echo "$@" >>{log}')
    (copy / "runs" / "demo-1").mkdir(parents=True)
    done = call(copy / "scripts/demo", VENV=str(tmp_path / "venv"))
    assert done.returncode == 0, done.stderr
    shipped, fit, evaluate, export, colorize = log.read_text(encoding="utf-8").splitlines()
    assert shipped.startswith(
        "-m colorizer.colorize samples/historical --output runs/demo-2/shipped"
    )
    assert fit.startswith("-m colorizer.fit --model cnn --preset smoke --data samples/photos/train")
    assert "--run-dir runs/demo-2" in fit
    assert evaluate.startswith("-m colorizer.evaluate --model runs/demo-2")
    assert export.startswith("-m models_export.export --run runs/demo-2 --output runs/demo-2/")
    assert colorize.startswith("-m colorizer.colorize samples/historical --model runs/demo-2")
    assert "demo-2/colored" in done.stdout and "demo-2/shipped" in done.stdout
