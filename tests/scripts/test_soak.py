"""The slopes that benchmarks/soak.py lays through what it samples; a short run of all of it."""

import re
import sys

import numpy as np
import pytest
from benchmark_runs import BENCHMARKS, benchmark


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import soak

    yield soak
    for name in ("soak", "served", "serving_load", "machine"):
        sys.modules.pop(name, None)


def series(slope: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """45 minutes of samples that wander as memory does: each keeps much of the one before."""
    hours = np.arange(0, 0.75, 10 / 3600)
    steps, wander = np.random.default_rng(seed).normal(0, 2, len(hours)), np.zeros(len(hours))
    for i in range(1, len(hours)):
        wander[i] = 0.7 * wander[i - 1] + steps[i]
    return hours, 800 + slope * hours + wander


def test_a_line_is_met_exactly(soak):
    hours = np.linspace(0, 1, 50)
    assert soak.slope_of(hours, 3 * hours + 7, 5) == pytest.approx((3, 3, 3))
    assert soak.slope_of(hours, np.full(50, 9.0), 5) == pytest.approx((0, 0, 0))


@pytest.mark.parametrize("slope", [0.0, 60.0])
def test_intervals_hold_the_true_slope(soak, slope):
    found = [soak.slope_of(*series(slope, seed), 12) for seed in range(40)]
    held = sum(one.low <= slope <= one.high for one in found)
    assert held >= 33
    assert all(one.low < one.value < one.high for one in found)


def test_what_grows_is_named(soak, capsys):
    hours, leak = series(200.0, 1)
    steady = np.full(len(hours), 40)
    rows = zip(3600 * hours, leak, steady, steady + 900, steady + 1000 * hours, strict=True)
    grows = soak._told(soak.Arguments(), [soak.Sample(*row) for row in rows])
    assert [line.split(":")[0] for line in grows] == ["server, mebibytes", "training, handles"]
    assert len(capsys.readouterr().out.splitlines()) == 7


@pytest.mark.slow
def test_a_short_run_of_all_of_it(tmp_path):
    file = tmp_path / "samples.tsv"
    done = benchmark(
        "soak", "--minutes", "1", "--every", "2", "--samples", file, "--warm-up-share", "0.5"
    )
    # A minute is too short for a verdict on memory, but not on answers.
    assert "requests by status: {'200': " in done.stdout, done.stderr
    faults = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert all(re.search("mebibytes|handles", line) for line in faults)
    assert len(file.read_text().splitlines()) > 10
