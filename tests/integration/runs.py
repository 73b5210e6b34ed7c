"""What the tests of training share: starting runs, waiting for them, comparing them."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from colorizer.config import FitConfig
from colorizer.training.checkpoint import load_progress
from colorizer.training.run_folder import RunFolder

# A CNN that takes seconds.
TINY_CNN = {
    "encoder_filters": (4, 8, 8, 8, 8),
    "decoder_filters": (8, 4),
    "output_filters": (4, 4),
}


def weights(run: Path) -> list[np.ndarray]:
    return keras.models.load_model(run / "model.keras", compile=False).get_weights()


def history(run: Path) -> list[dict[str, float]]:
    rows = json.loads((run / "history.json").read_text())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def assert_same_run(left: Path, right: Path, *, rounding: float = 0.0) -> None:
    """Kept models and last checkpoints are equal bit for bit, histories but for `rounding`."""
    for row, same in zip(history(left), history(right), strict=True):
        assert row == pytest.approx(same, rel=rounding, abs=0.0)
    for one, other in zip(weights(left), weights(right), strict=True):
        np.testing.assert_array_equal(one, other)
    with (
        np.load(RunFolder(left).checkpoint) as one,
        np.load(RunFolder(right).checkpoint) as other,
    ):
        assert one.files == other.files
        for name in set(one.files) - {"progress"}:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def command(config: FitConfig, *more: str) -> list[str]:
    """The command line that is the configuration, but for what the preset says already."""
    flags = [sys.executable, "-m", "colorizer.fit"]
    given = config.model_dump(exclude={"preset", "resume"})
    for name, value in _flat(given):
        if value is None or (name.startswith("max-minutes")):
            continue
        if isinstance(value, bool):
            flags += [f"--{name}" if value else f"--{_negated(name)}"]
        else:
            values = value if isinstance(value, tuple) else (value,)
            flags += [f"--{name}", *map(str, values)]
    return [*flags, *more]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, value in values.items():
        name = prefix + key.replace("_", "-")
        rows += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return rows


def _negated(name: str) -> str:
    *section, last = name.split(".")
    return ".".join([*section, f"no-{last}"])


def wait_for(process: subprocess.Popen, checkpoint: Path, place: tuple[int, int]) -> None:
    """Waits until the run has passed `place` = (epoch, step)."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint.exists():
            progress = load_progress(checkpoint)
            if (progress.epoch, progress.step) >= place:
                return
        time.sleep(0.01)
    process.kill()
    pytest.fail(f"never came to {place}: {process.communicate()[1][-2000:]}")
