"""Adversarial training for real, on the sample photos, with networks that take seconds."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from runs import assert_same_run, command, history, wait_for

import colorizer
from colorizer.config import FitConfig
from colorizer.fit import fit
from colorizer.training.adversarial_task import BELOW_GRAY, score
from colorizer.training.checkpoint import load_progress
from colorizer.training.interruption import StopRequest
from colorizer.training.run_folder import RunFolder
from pipelines.errors import ColorizerError

UNET = {"pool": 1, "filters": (4, 8, 8), "blocks": (0, 1, 0), "decoder_filters": (8, 4)}
PLAY = {"filters": (4, 8, 8), "check_steps": 4}
TINY = {
    "image_size": 32,
    "unet": UNET,
    "dcgan": {"filters": (16, 8, 8), "latent_size": 12},
    "batch_size": 4,
    "epochs": 2,
    "epoch_steps": 6,
    "warmup_steps": 2,
    "ema": 0.8,
    "norm_momentum": 0.8,
    "seed": 5,
}


@pytest.fixture(scope="module")
def places(sample_photos):
    return {"data": sample_photos / "train", "val_data": sample_photos / "val"}


@pytest.fixture
def begin(places, tmp_path):
    """Makes the configuration of a U-Net's adversarial run, with what is given changed."""

    def configure(run: str = "run", play: dict | None = None, **changed) -> FitConfig:
        chosen = {"model": "unet", "training": "adversarial", **places, **TINY, **changed}
        return FitConfig(run_dir=tmp_path / run, adversarial={**PLAY, **(play or {})}, **chosen)

    return configure


@pytest.fixture(scope="module")
def dcgan(places, tmp_path_factory):
    """A run of the report's DCGAN."""
    run = tmp_path_factory.mktemp("dcgan") / "run"
    return fit(FitConfig(**places, run_dir=run, model="dcgan", training="adversarial", **TINY))


def test_history_and_tensorboard_tell_the_measures_of_collapse(dcgan):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    measures = {
        "accuracy_real",
        "accuracy_fake",
        "spread_real",
        "spread_fake",
        "generator_gradient",
        "discriminator_gradient",
        "val_noise_diversity",
        "val_kid",
        "val_colourfulness",
        "val_psnr",
        "val_score",
        "alarms",
    }
    events = EventAccumulator(str(dcgan / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    assert measures <= set(history(dcgan)[-1]) and measures <= set(events.Tags()["tensors"])
    assert all(np.isfinite(list(row.values())).all() for row in history(dcgan))


def test_the_kept_epoch_has_the_best_score(dcgan):
    scores = [row["val_score"] for row in history(dcgan)]
    assert load_progress(RunFolder(dcgan).checkpoint).best == min(scores)


@pytest.mark.parametrize(("psnr", "too_low"), [(21.0, False), (20.5, False), (19.9, True)])
def test_psnr_guards_the_score(psnr, too_low):
    scores = {"kid": 0.01, "kid_gray": 0.04, "colourfulness": 30.0, "colourfulness_truth": 40.0}
    value = score({**scores, "psnr": psnr, "psnr_gray": 21.0}, psnr_margin=1.0)
    assert value == pytest.approx(0.25 + 0.25 + (BELOW_GRAY if too_low else 0))


def test_the_dcgan_is_used_like_any_other_network(dcgan):
    model = colorizer.load(dcgan)
    photo = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    once, twice = model.colorize(photo), model.colorize(photo)
    assert once.shape == photo.shape
    np.testing.assert_array_equal(once, twice)


def test_kill_9_and_sigterm_change_nothing_after_resume(begin):
    """Both networks, both optimizers with their loss scales, the average, the guard."""
    settings = {
        "precision": "mixed_float16",
        "play": {"on_collapse": "rollback", "check_steps": 4, "instance_noise": 3.0},
    }
    finished = fit(begin("finished", **settings))
    with np.load(RunFolder(finished).checkpoint) as stored:
        groups = {name.split("/")[0] for name in stored.files}
    assert {"model", "optimizer", "discriminator_optimizer", "average", "pace"} <= groups
    config = begin("killed", **settings)
    flags = command(config, "--checkpoint-minutes", "0.00001")
    for number, code, place in ((signal.SIGKILL, -9, (0, 2)), (signal.SIGTERM, 143, (1, 1))):
        process = subprocess.Popen(flags, stderr=subprocess.PIPE, text=True)
        wait_for(process, RunFolder(config.run_dir).checkpoint, place)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        flags = [*command(config, "--checkpoint-minutes", "0.00001"), "--resume"]
    subprocess.run(flags, check=True, capture_output=True)
    assert_same_run(config.run_dir, finished)


def test_a_generator_may_start_from_a_supervised_run(begin, tmp_path):
    first = fit(begin("first", training="supervised", epochs=1))
    start = keras.models.load_model(first / "model.keras", compile=False).get_weights()
    config = begin("second", init_from=first, epochs=1, epoch_steps=1, learning_rate=1e-9, ema=0.0)
    second = keras.models.load_model(fit(config) / "model.keras", compile=False)
    kernels = [i for i, weight in enumerate(second.weights) if weight.path.endswith("kernel")]
    for i in kernels:
        np.testing.assert_allclose(second.get_weights()[i], start[i], atol=1e-6)
    shutil.rmtree(first)
    assert fit(config.model_copy(update={"resume": True})) == config.run_dir


def test_another_network_is_no_start(begin, dcgan, tmp_path):
    with pytest.raises(ColorizerError, match="another network than --model unet"):
        fit(begin(init_from=dcgan))
    with pytest.raises(ColorizerError, match="holds no trained network"):
        fit(begin("other", init_from=tmp_path / "nothing"))


# A discriminator with a rate a hundred times too high, on a handful of photos.
COLLAPSING = {"discriminator_learning_rate": 0.02, "discriminator_steps": 4, "check_steps": 4}


@pytest.fixture
def handful(sample_photos, tmp_path) -> Path:
    folder = tmp_path / "handful"
    folder.mkdir()
    for path in sorted((sample_photos / "train").rglob("*.jpg"))[:8]:
        shutil.copy(path, folder)
    return folder


def collapsing(begin, handful: Path, action: str) -> FitConfig:
    play = {**COLLAPSING, "on_collapse": action}
    return begin(play=play, data=handful, epochs=10, epoch_steps=2, learning_rate=1e-3)


def test_a_provoked_collapse_is_told_in_words(begin, handful, capsys):
    run = fit(collapsing(begin, handful, "warn"))
    assert history(run)[-1]["alarms"] > 0
    assert "collapse: " in capsys.readouterr().err


def test_a_provoked_collapse_stops_the_run(begin, handful):
    config = collapsing(begin, handful, "stop")
    with pytest.raises(ColorizerError, match="training has collapsed at"):
        fit(config)
    assert 0 < len(history(config.run_dir)) < 10
    assert (config.run_dir / "model.keras").is_file()


def test_a_provoked_collapse_is_rolled_back(begin, handful, capsys):
    run = fit(collapsing(begin, handful, "rollback"))
    guard = load_progress(RunFolder(run).checkpoint).guard
    assert guard["rollbacks"] > 0
    words = "rolled back to the last good state"
    assert capsys.readouterr().err.count(words) == guard["rollbacks"]
    with np.load(RunFolder(run).checkpoint) as stored:
        assert float(stored["pace/0000"]) == 0.5 ** guard["rollbacks"]


@pytest.mark.parametrize("training", ["supervised", "adversarial"])
def test_two_devices_train_like_one(begin, training):
    one, two = (
        fit(begin(str(devices), training=training, devices=devices, epochs=1)) for devices in (1, 2)
    )
    for name, value in history(one)[0].items():
        # Each replica sees half of the photos: their spread and gradients are its own.
        if "spread" not in name and ("loss" in name or name.startswith("val_")):
            assert history(two)[0][name] == pytest.approx(value, rel=0.01, abs=1e-3), name


def test_two_devices_go_on_within_an_epoch(begin, monkeypatch):
    whole, broken = begin("whole", devices=2, epochs=1), begin("broken", devices=2, epochs=1)
    steps = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "_out_of_time", property(lambda self: next(steps) >= 3))
        fit(broken.model_copy(update={"max_minutes": 60.0}))
    progress = load_progress(RunFolder(broken.run_dir).checkpoint)
    assert progress.epoch == 0 and 0 < progress.step < 6
    fit(broken.model_copy(update={"resume": True}))
    one, two = history(fit(whole))[0], history(broken.run_dir)[0]
    assert two == pytest.approx(one, rel=1e-5)


def test_bad_settings_are_refused_before_anything_is_read(begin):
    with pytest.raises(ValueError, match="no labels to smooth"):
        begin(play={"loss": "hinge", "label_smoothing": 0.1})
    assert json.dumps(begin().model_dump(mode="json"))
