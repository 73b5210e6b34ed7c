"""Training for real, on the sample photos, with a network that takes seconds."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from runs import TINY_CNN, assert_same_run, command, history, wait_for

from colorizer.config import FitConfig, load_config
from colorizer.fit import fit
from colorizer.locks import used_alone
from colorizer.training.callbacks import StepKeeper
from colorizer.training.checkpoint import load_progress
from colorizer.training.interruption import StopRequest
from colorizer.training.run_folder import RunFolder
from pipelines.errors import ColorizerError, NoPhotosError

TINY = {
    "image_size": 32,
    "cnn": TINY_CNN,
    "batch_size": 4,
    "epochs": 3,
    "warmup_steps": 4,
    "ema": 0.8,
    "seed": 5,
}


@pytest.fixture
def config(sample_photos, tmp_path):
    return FitConfig(
        data=sample_photos / "train",
        val_data=sample_photos / "val",
        run_dir=tmp_path / "run",
        **TINY,
    )


@pytest.fixture(scope="module")
def finished(sample_photos, tmp_path_factory):
    """A run that nothing interrupted."""
    config = FitConfig(
        data=sample_photos / "train",
        val_data=sample_photos / "val",
        run_dir=tmp_path_factory.mktemp("finished") / "run",
        **TINY,
    )
    return fit(config)


def test_run_folder_holds_what_was_promised(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    expected = {
        "config.json",
        "versions.json",
        "photos.json",
        "statistics.json",
        "history.json",
        "metrics.json",
        "model.keras",
        "learning_curve.png",
        "checkpoints/latest.npz",
        *(f"samples/epoch_{epoch:03d}.png" for epoch in (1, 2, 3)),
    }
    events = {name for name in names if name.startswith("tensorboard/")}
    assert names - events == expected and events
    photos = json.loads((finished / "photos.json").read_text())
    assert (photos["train"]["usable"], photos["val"]["usable"]) == (40, 8)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["images"] == 8 and metrics["gray"]["psnr"] > 10


def test_the_kept_model_is_the_best_by_validation(finished):
    losses = [row["val_loss"] for row in history(finished)]
    assert load_progress(RunFolder(finished).checkpoint).best == min(losses)
    assert len(losses) == 3 and history(finished)[0]["loss"] > history(finished)[-1]["loss"]


def test_tensorboard_has_scalars_and_grid(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"loss", "val_loss", "learning_rate", "gray | predicted | true"} <= tags
    assert len(events.Tensors("val_loss")) == 3


def test_the_learning_curve_is_drawn_now_and_then_and_at_the_end(config, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "colorizer.training.loop.save_learning_curve",
        lambda path, history: drawn.append(len(history)),
    )
    monkeypatch.setattr("colorizer.training.loop.CURVE_SECONDS", 1000.0)
    fit(config)
    assert drawn == [1, 3]


def test_the_same_seed_gives_the_same_run_with_and_without_cache(finished, config):
    assert_same_run(fit(config.model_copy(update={"cache": "none"})), finished)


def test_another_seed_gives_another_run(finished, config):
    other = fit(config.model_copy(update={"seed": 6, "epochs": 1}))
    assert history(other)[0]["loss"] != history(finished)[0]["loss"]


def test_sigterm_and_kill_9_change_nothing_after_resume(finished, config):
    flags = command(config, "--checkpoint-minutes", "0.00001")
    for number, code, place in ((signal.SIGTERM, 143, (0, 4)), (signal.SIGKILL, -9, (1, 3))):
        process = subprocess.Popen(flags, stderr=subprocess.PIPE, text=True)
        wait_for(process, RunFolder(config.run_dir).checkpoint, place)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        flags = [*command(config, "--checkpoint-minutes", "0.00001"), "--resume"]
    stopped_at = load_progress(RunFolder(config.run_dir).checkpoint)
    assert (1, 3) <= (stopped_at.epoch, stopped_at.step) < (3, 0)
    again = [sys.executable, "-m", "colorizer.fit", "--run-dir", str(config.run_dir), "--resume"]
    subprocess.run(again, check=True, capture_output=True)
    assert_same_run(config.run_dir, finished)


@pytest.mark.parametrize("last_step", [13, 20], ids=["within an epoch", "at its last step"])
def test_max_minutes_stops_cleanly_and_resume_ends_the_same(
    finished, config, monkeypatch, last_step
):
    steps = itertools.count(1)
    done = 0
    end_step = StepKeeper.on_train_batch_end

    def counted(self, batch, logs=None):
        nonlocal done
        done = next(steps)
        end_step(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(StepKeeper, "on_train_batch_end", counted)
        patch.setattr(StopRequest, "_out_of_time", property(lambda self: done >= last_step))
        stopped = fit(config.model_copy(update={"max_minutes": 60.0}))
    progress = load_progress(RunFolder(stopped).checkpoint)
    assert progress.epoch * 10 + progress.step == last_step
    assert len(history(stopped)) == 1
    assert (stopped / "model.keras").exists() and (stopped / "metrics.json").exists()
    assert_same_run(fit(config.model_copy(update={"resume": True})), finished)


def test_changed_photos_are_not_trained_on(finished, config, tmp_path):
    begun = shutil.copytree(finished, tmp_path / "copy")
    changed = shutil.copytree(config.data, tmp_path / "photos")
    next(changed.glob("*.jpg")).unlink()
    stored = load_config(begun / "config.json")
    with pytest.raises(ColorizerError, match="train photos have changed"):
        fit(stored.model_copy(update={"data": changed, "run_dir": begun, "resume": True}))


def test_a_run_that_another_process_is_at_work_on_is_left_alone(config):
    with used_alone(config.run_dir):
        with pytest.raises(ColorizerError, match=r"run: another process is at work in it"):
            fit(config)
        assert [path.name for path in config.run_dir.iterdir()] == [".lock"]


def test_resume_without_a_run_starts_one(config):
    run = fit(config.model_copy(update={"resume": True, "epochs": 1}))
    assert len(history(run)) == 1


def test_a_loss_that_is_not_finite_stops_the_run(config):
    with pytest.raises(ColorizerError, match=r"loss is (nan|inf) in epoch 1"):
        fit(config.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0}))
    assert not (config.run_dir / "model.keras").exists()


def test_photos_are_held_out_where_no_validation_folder_is_given(config):
    run = fit(config.model_copy(update={"val_data": None, "val_share": 0.25, "epochs": 1}))
    photos = json.loads((run / "photos.json").read_text())
    assert (photos["train"]["usable"], photos["val"]["usable"]) == (30, 10)
    assert not set(photos["train"]["photos"]) & set(photos["val"]["photos"])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_keeps_a_float32_model(config, precision):
    run = fit(config.model_copy(update={"precision": precision, "epochs": 1}))
    model = keras.models.load_model(run / "model.keras", compile=False)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert np.isfinite(history(run)[0]["val_loss"])


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_other_losses_and_schedules_train(config, loss, schedule):
    chosen = {"loss": loss, "schedule": schedule, "ema": 0.0, "resize": "crop", "epochs": 1}
    assert np.isfinite(history(fit(config.model_copy(update=chosen)))[0]["loss"])


def test_bad_photos_are_listed_and_the_rest_trains(config, shared_photos, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(config.data, folder)
    for path in (shared_photos / "bad_images").iterdir():
        shutil.copy(path, folder)
    run = fit(config.model_copy(update={"data": folder, "epochs": 1}))
    listed = json.loads((run / "photos.json").read_text())["train"]["rejected"]
    reasons = {Path(item["file"]).name: item["reason"] for item in listed}
    assert reasons["zero_bytes.jpg"] == "empty file"
    assert reasons["truncated.jpg"] == "damaged or cut off JPEG data"
    assert reasons["png_renamed.jpg"] == "named JPEG but holds PNG"
    assert reasons["gray.jpg"] == "gray or nearly gray"


def test_a_folder_without_photos_exits_with_1_and_one_line(config, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoPhotosError):
        fit(config.model_copy(update={"data": empty}))
    flags = command(config.model_copy(update={"data": empty, "run_dir": tmp_path / "other"}))
    done = subprocess.run(flags, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: {empty}: holds no .jpg or .jpeg file"]
