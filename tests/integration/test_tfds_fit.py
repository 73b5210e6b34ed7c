"""Training on, and evaluation of, datasets of TensorFlow Datasets."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs import assert_same_run, command, wait_for
from test_fit import TINY

from colorizer.config import FitConfig
from colorizer.fit import fit
from colorizer.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("built_datasets")


def config_of(run_dir: Path, data: str, **changes) -> FitConfig:
    return FitConfig(data=Path(data), run_dir=run_dir, **{**TINY, "epochs": 2, **changes})


def test_a_killed_run_on_a_mix_ends_the_same_without_its_records(tmp_path):
    data = "tfds:photo_folder*0.5,tfds:photo_folder/few*1.5"
    whole = fit(config_of(tmp_path / "whole", data))
    stopped = config_of(tmp_path / "stopped", data)
    flags = command(stopped, "--checkpoint-minutes", "0.00001")
    process = subprocess.Popen(flags, stderr=subprocess.PIPE, text=True)
    wait_for(process, RunFolder(stopped.run_dir).checkpoint, (0, 5))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    again = [sys.executable, "-m", "colorizer.fit", "--run-dir", str(stopped.run_dir), "--resume"]
    subprocess.run([*again, "--cache", "none"], check=True, capture_output=True)
    assert_same_run(stopped.run_dir, whole)


def test_the_validation_split_is_used_and_the_test_split_evaluated(tmp_path, capfd):
    run = fit(config_of(tmp_path / "run", "tfds:photo_folder", epochs=1))
    photos = json.loads((run / "photos.json").read_text())
    assert (photos["train"]["usable"], photos["val"]["usable"]) == (40, 8)
    assert "tfds:photo_folder: 8 photos" in capfd.readouterr().err
    scores = tmp_path / "scores.json"
    words = ["--model", str(run), "--data", "tfds:photo_folder/few", "--no-kid"]
    evaluate = [sys.executable, "-m", "colorizer.evaluate", *words, "--json", str(scores)]
    done = subprocess.run(evaluate, check=True, capture_output=True, text=True)
    assert "gray (ab = 0)" in done.stdout
    assert json.loads(scores.read_text())["images"] == 8


def test_without_a_validation_split_photos_are_held_out(tmp_path):
    run = fit(config_of(tmp_path / "run", "tfds:photo_folder/few", epochs=1, val_share=0.25))
    photos = json.loads((run / "photos.json").read_text())
    assert (photos["train"]["usable"], photos["val"]["usable"]) == (6, 2)


def test_a_dataset_that_is_not_built_is_one_line(tmp_path):
    words = ["--data", "tfds:celeba_hq_256", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "colorizer.fit", *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: tfds:celeba_hq_256: is not built in ")
    assert done.stderr.count("\n") == 1
