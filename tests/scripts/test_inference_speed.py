"""benchmarks/inference_speed.py and its processes."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from benchmark_runs import BENCHMARKS, benchmark


def test_ratios_are_taken_within_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    table = import_module("inference_speed").table
    # The machine was twice as slow in the second round, three times as slow in the last.
    rounds = [{"TensorFlow": 2.0 * slow, "rival": 31.0 * slow} for slow in (1, 2, 3)]
    assert table(rounds, 4).splitlines()[2:] == [
        "| TensorFlow | 4.0 | 1.00 |",
        "| rival | 62.0 | 15.50 |",
    ]


def test_a_run_is_timed_beside_its_exports(tiny_run: Path, tmp_path: Path) -> None:
    quick = ("--rounds", "2", "--seconds", "0.01", "--batch-sizes", "1", "3")
    done = benchmark(
        "inference_speed", "--run", tiny_run, "--exports", tmp_path, "--systems", "LiteRT", *quick
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "litert" / "1" / "model.tflite").is_file()
    for name in ("TensorFlow", "LiteRT"):
        assert len(re.findall(rf"^\| {name} \| \d+\.\d \| \d+\.\d\d \|$", done.stdout, re.M)) == 2


def test_a_rival_that_cannot_be_built_is_named(tiny_run: Path) -> None:
    done = benchmark(
        "inference_speed", "--run", tiny_run, "--systems", "--rival", "no_such_module:network"
    )
    assert done.returncode == 1
    assert re.search(r"^error: network: ModuleNotFoundError: ", done.stderr, re.M)
