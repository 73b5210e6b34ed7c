"""benchmarks/input_pipeline.py on a few sample photos."""

import json
from pathlib import Path

import pytest
from benchmark_runs import benchmark


@pytest.mark.slow
def test_measures_all_systems_and_the_waiting_share(sample_photos: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    size = ("--image-size", "64", "--batch-size", "4", "--limit", "12")
    counts = ("--cores", "1", "--repeats", "1", "--steps", "2")
    done = benchmark("input_pipeline", "--data", sample_photos, *size, *counts, "--json", figures)
    assert done.returncode == 0, done.stderr
    content = json.loads(figures.read_text(encoding="utf-8"))
    assert content["images"] == 12
    medians = content["medians"]["1"]
    assert 0 < medians.pop("waiting_share") < 1
    assert medians.pop("step_seconds") > 0
    for key, rate in medians.items():
        assert rate > 0, key
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(medians) + 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(("--cores", "99999"), 2, "--cores"), (("--cores", "1"), 1, "holds no .jpg or .jpeg file")],
)
def test_wrong_arguments(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = benchmark("input_pipeline", "--data", tmp_path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
