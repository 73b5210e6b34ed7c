"""benchmarks/step_time.py and its processes; what needs PyTorch, `--check` compares by itself."""

import math
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmark_runs import BENCHMARKS, benchmark

from colorizer.network_config import AdversarialConfig
from pipelines.errors import ColorizerError


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture
def step_time() -> ModuleType:
    return import_module("step_time")


@pytest.fixture
def step_sides() -> ModuleType:
    return import_module("step_sides")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image-size", "100"), "multiple of 64"),
        (("--precision", "float16"), "float16"),
        (("--precision",), "at least one"),
        (("--torch-python", "no-such-python"), "no-such-python: no such program"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    done = benchmark("step_time", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_pytorch_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    bare = tmp_path / "bare_python"
    # -S: without the installed packages, whichever they are.
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    done = benchmark("step_time", "--torch-python", bare)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {bare} has no PyTorch")
    assert "pip install torch" in line and "--torch-python" in line


def test_table_compares_with_the_faster_pytorch_within_each_repeat(step_time: ModuleType) -> None:
    case = step_time.Case("supervised", "float32", 256, 16)
    first, last = "PyTorch", "PyTorch, channels last"
    rows = [
        {"ours": 100.0, first: 300.0, last: 100.0},
        {"ours": 240.0, first: 100.0, last: 200.0},
        {"ours": 330.0, first: 310.0, last: 300.0},
    ]
    assert step_time.ratio(rows) == pytest.approx(1.1)
    lines = step_time.table({case: rows, case._replace(training="adversarial"): rows}).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[2] == "| supervised | float32 | 240 | 300 | 200 | 1.10 |"
    assert lines[3].startswith("| adversarial | float32 |")


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": "l1"},
        {"accumulation": 2},
        {"adversarial": AdversarialConfig(feature_matching=1.0)},
        {"adversarial": AdversarialConfig(discriminator_steps=2)},
    ],
)
def test_a_training_that_pytorch_does_not_follow_is_refused(
    step_sides: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    case = step_sides.Case("adversarial", "float32", 64, 2)
    preset = case.config()
    case.for_torch()
    monkeypatch.setattr(
        step_sides, "preset_defaults", lambda *names: preset.model_copy(update=changed)
    )
    with pytest.raises(ColorizerError, match=r"torch_steps\.py does not know"):
        case.for_torch()


def test_a_process_answers_fails_and_ends(step_sides: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "side.py"
    script.write_text(
        f"""import os, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
from step_worker import serve

class Toy:
    def double(self, *, number):
        print("a library talks")
        return {{"number": 2 * number}}

    def fail(self):
        raise ValueError("first line\\nsecond line")

    def die(self):
        os._exit(7)

serve(Toy())
""",
        encoding="utf-8",
    )
    side = step_sides.Side("toy", [sys.executable, "-S", script])
    try:
        assert side.ask("double", number=21) == {"number": 42}
        with pytest.raises(ColorizerError, match=r"^toy: ValueError: first line$"):
            side.ask("fail")
        assert side.ask("double", number=1) == {"number": 2}
        with pytest.raises(ColorizerError, match=r"^toy: its process ended with 7$"):
            side.ask("die")
    finally:
        side.end()


@pytest.mark.parametrize(
    ("training", "precision"), [("supervised", "float32"), ("adversarial", "mixed_bfloat16")]
)
def test_our_side_trains_as_it_tells_pytorch(
    step_sides: ModuleType, training: str, precision: str, tmp_path: Path
) -> None:
    side = import_module("keras_steps").KerasSide()
    case = step_sides.Case(training, precision, 64, 2)
    config = case.config().model_dump(mode="json")
    steps = step_sides.STEPS_PER_EPOCH
    begun = side.begin(config=config, steps_per_epoch=steps)
    told: dict[str, Any] = case.for_torch()
    networks = [name for name in ("generator", "discriminator") if told[name] is not None]
    assert min(begun["parameters"].values()) > 10_000
    assert list(begun["parameters"]) == list(told["updates"]) == networks
    model = side._task.model
    attributes = {"generator": "optimizer", "discriminator": "discriminator_optimizer"}
    for name in networks:
        optimizer, updates = getattr(model, attributes[name]), told["updates"][name]
        assert float(optimizer.beta_1) == updates["beta_1"]
        assert float(optimizer.weight_decay) == updates["weight_decay"]
        assert float(optimizer.learning_rate) == pytest.approx(updates["learning_rate"] / 10)
    assert side.export(file=str(tmp_path / "networks.npz")) == {}
    with np.load(tmp_path / "networks.npz") as stored:
        for name in networks:
            assert np.std(stored[f"output_of_{name}"]) > 0.01
        assert stored["generator/down_1/kernel"].shape == (3, 3, 1, 32)
    side.warm_up(steps=1)
    timed = side.go(steps=2)
    assert timed["seconds"] > 0 and math.isfinite(timed["loss"])
    assert int(model.optimizer.iterations) == 3
    (losses,) = side.losses(steps=1)["losses"]
    assert ("discriminator_loss" in losses) == (training == "adversarial")
    assert all(math.isfinite(loss) for loss in losses.values())
