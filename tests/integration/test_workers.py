"""Several workers on this machine, each a process of its own, on the sample photos."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs import TINY_CNN, assert_same_run, command, history, wait_for

from colorizer.config import FitConfig
from colorizer.fit import fit
from colorizer.training.checkpoint import load_progress
from colorizer.training.run_folder import RunFolder
from pipelines.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = [sys.executable, str(ROOT / "scripts" / "train_workers.py")]
TINY = {
    "image_size": 64,
    "cnn": TINY_CNN,
    "unet": {"pool": 1, "filters": (4, 8, 8), "blocks": (0, 1, 0), "decoder_filters": (8, 4)},
    "batch_size": 8,
    "epochs": 2,
    "epoch_steps": 4,
    "warmup_steps": 2,
    "ema": 0.8,
    "norm_momentum": 0.8,
    "seed": 5,
}
# Each worker's own: figures of its gradient and of how its photos differ.
OWN = ("_gradient", "spread_")


@pytest.fixture
def begin(sample_photos, tmp_path):
    def configure(run: str, **changed) -> FitConfig:
        places = {"data": sample_photos / "train", "val_data": sample_photos / "val"}
        return FitConfig(run_dir=tmp_path / run, **places, **{**TINY, **changed})

    return configure


ADVERSARIAL = {
    "model": "unet",
    "training": "adversarial",
    "adversarial": {"filters": (4, 8, 8), "check_steps": 3},
}


def flags(config: FitConfig, *more: str) -> list[str]:
    return command(config, "--checkpoint-minutes", "0.00001", *more)[3:]


def launch(config: FitConfig, log: Path, *more: str) -> subprocess.Popen:
    """Begins a training of two workers, with more flags of fit; what they say comes to the log."""
    with log.open("a") as stderr:
        return subprocess.Popen(
            [*LAUNCHER, "--", *flags(config, *more)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


def process_of(worker: int, log: Path) -> int:
    """The process that the worker is now."""
    return int(re.findall(rf"worker {worker}, process (\d+):", log.read_text())[-1])


def ended(process: subprocess.Popen, log: Path) -> tuple[int, list[str]]:
    """The exit code, and the lines of errors."""
    process.communicate(timeout=240)
    text = log.read_text()
    assert "Traceback" not in text, text
    # An error may stand behind the progress bar of another worker.
    return process.returncode, re.findall("error: .*", text)


def assert_alike(one: Path, two: Path, tolerance: float) -> None:
    for alone, together in zip(history(one), history(two), strict=True):
        assert alone.keys() == together.keys()
        for name in alone:
            if not name.startswith(OWN) and not name.endswith(OWN):
                expected = pytest.approx(alone[name], rel=tolerance, abs=tolerance)
                assert together[name] == expected, name


def test_two_workers_of_which_one_is_killed_end_as_one_alone_does(begin, tmp_path):
    alone, together, log = fit(begin("alone")), begin("together"), tmp_path / "log"
    process = launch(together, log)
    wait_for(process, RunFolder(together.run_dir).checkpoint, (0, 2))
    os.kill(process_of(1, log), signal.SIGKILL)
    code, errors = ended(process, log)
    assert code == 0, log.read_text()
    assert len(errors) == 1 and "worker 0 has lost another worker" in errors[0]
    assert "a worker was lost: all begin again (1 of 3)" in log.read_text()
    assert_alike(alone, together.run_dir, 1e-3)
    names = [
        {path.relative_to(run) for path in run.rglob("*") if "tensorboard" not in path.parts}
        for run in (alone, together.run_dir)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"devices": 2}, "--devices"),
        ({"accumulation": 2}, "--accumulation"),
        ({"xla": "on"}, "--xla on"),
        ({"batch_size": 7}, "a multiple of the 2 workers"),
    ],
)
def test_what_workers_cannot_do_is_refused_before_they_meet(begin, monkeypatch, changed, words):
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    config = begin("run", **changed)
    with pytest.raises(UsageError, match=words):
        fit(config)
    assert not config.run_dir.exists()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_signal_and_a_kill_change_nothing_after_resume(begin, tmp_path, lost):
    """With noise, loss scales, an average and the guard's state."""
    game = {**ADVERSARIAL["adversarial"], "on_collapse": "rollback", "instance_noise": 3.0}
    changed = {**ADVERSARIAL, "adversarial": game, "precision": "mixed_float16"}
    whole, broken = begin("whole", **changed), begin("broken", **changed)
    log = tmp_path / "log"
    assert ended(launch(whole, tmp_path / "whole.log"), tmp_path / "whole.log")[0] == 0
    checkpoint = RunFolder(broken.run_dir).checkpoint
    process = launch(broken, log)
    wait_for(process, checkpoint, (0, 1))
    # Where one of them is told to stop, all do, at the same step; the launcher tells all.
    os.kill(process_of(lost, log) if lost else process.pid, signal.SIGTERM)
    assert ended(process, log) == (143, [])
    assert (0, 1) <= (load_progress(checkpoint).epoch, load_progress(checkpoint).step) < (2, 0)
    process = launch(broken, log, "--resume")
    wait_for(process, checkpoint, (1, 1))
    os.kill(process_of(lost, log), signal.SIGKILL)
    code, errors = ended(process, log)
    assert code == 0 and len(errors) == 1
    # What is left of an epoch adds to means that were shared out anew.
    assert_same_run(whole.run_dir, broken.run_dir, rounding=1e-6)


@pytest.mark.slow
def test_the_game_goes_as_with_one_worker(begin, tmp_path):
    alone, together = fit(begin("alone", **ADVERSARIAL)), begin("together", **ADVERSARIAL)
    assert ended(launch(together, tmp_path / "log"), tmp_path / "log") == (0, [])
    assert_alike(alone, together.run_dir, 5e-3)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all_workers_at_the_same_step(begin, tmp_path):
    config, log = begin("run", learning_rate=1e30, warmup_steps=0), tmp_path / "log"
    code, errors = ended(launch(config, log), log)
    assert code == 1
    assert len(errors) == 2 and len(set(errors)) == 1 and "in epoch 1, step" in errors[0]


@pytest.mark.slow
def test_a_worker_without_the_photos_is_named(begin, import_script, tmp_path):
    config, log = begin("run"), tmp_path / "log"
    # The second worker has another folder under its feet: --data is relative.
    other = tmp_path / "elsewhere"
    (other / "photos").mkdir(parents=True)
    (tmp_path / "photos").symlink_to(config.data)
    launcher = import_script("train_workers")
    addresses = [f"127.0.0.1:{port}" for port in launcher.free_ports(2)]
    processes = []
    for index, folder in enumerate((tmp_path, other)):
        tf_config = launcher.tf_config(addresses, index)
        words = flags(config)
        words[words.index("--data") + 1] = "photos"
        with log.open("a") as stderr:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "colorizer.fit", *words],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config},
                    stderr=stderr,
                )
            )
    assert [process.wait(120) for process in processes] == [1, 1]
    assert log.read_text().count("error: worker 1 has other files in photos than worker 0") == 2
