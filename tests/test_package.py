"""What `pip install .` installs, without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipelines", "colorizer", "models_export")


def test_wheel_holds_every_module_and_command(tmp_path):
    # A copy: setuptools leaves its build folder behind, with modules that are long gone.
    copy = tmp_path / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, copy],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 15_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        commands = archive.read(entry_points).decode()
    source = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in (
            "*.py",
            "py.typed",
            "manifest.json*",
            "weights.npz",
            "key.pem",
            "MODEL_CARD.md",
        )
        for path in (ROOT / package).rglob(pattern)
    }
    serving = ROOT / "models_export" / "serving"
    source.add("models_export/serving/openapi.json")
    for pattern in ("*.html", "*.css", "*.js", "*.svg", "vendor/*"):
        source |= {path.relative_to(ROOT).as_posix() for path in (serving / "page").glob(pattern)}
    datasets = ROOT / "pipelines" / "datasets"
    for pattern in ("README.md", "*/README.md", "*/CITATIONS.bib", "*/TAGS.txt"):
        source |= {path.relative_to(ROOT).as_posix() for path in datasets.glob(pattern)}
    assert {name for name in names if ".dist-info/" not in name} == source
    assert any(name.endswith("LICENSE") for name in names)
    for name in ("build-dataset", "fit", "evaluate", "colorize", "export"):
        assert f"colorizer-{name} = " in commands


@pytest.mark.parametrize("given, taken", [(None, "1"), ("0", "0")])
def test_asks_tensorflow_for_onednn_unless_told_otherwise(given, taken):
    variable = "TF_ENABLE_ONEDNN_OPTS"
    environment = {name: value for name, value in os.environ.items() if name != variable}
    if given:
        environment[variable] = given
    told = subprocess.run(
        [sys.executable, "-c", f"import colorizer, os; print(os.environ['{variable}'])"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == taken
