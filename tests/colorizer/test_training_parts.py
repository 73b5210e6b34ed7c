import os
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from colorizer.command import Terminated
from colorizer.training.averaging import WeightAverage
from colorizer.training.callbacks import NanGuard, StepKeeper
from colorizer.training.checkpoint import (
    Progress,
    load_progress,
    restore_variables,
    save_checkpoint,
)
from colorizer.training.interruption import OutOfTime, StopRequest
from colorizer.training.optimizer import LayerwiseAdamW, build_optimizer
from colorizer.training.pictures import sample_grid, save_learning_curve
from pipelines.errors import ColorizerError

BASE = {"learning_rate": 1e-3, "warmup_steps": 10, "total_steps": 1000, "weight_decay": 1e-4}


def rates(schedule: str, steps: list[int]) -> list[float]:
    optimizer = build_optimizer(**BASE, schedule=schedule)
    return [float(optimizer._learning_rate(step)) for step in steps]


def test_cosine_rises_and_falls_to_zero():
    start, peak, middle, end = rates("cosine", [0, 10, 505, 1000])
    assert start == pytest.approx(1e-4)
    assert peak == pytest.approx(1e-3)
    assert middle == pytest.approx(5e-4, rel=0.01)
    assert end == pytest.approx(0, abs=1e-9)


def test_constant_stays_after_the_warm_up():
    assert rates("constant", [0, 10, 500, 5000]) == pytest.approx([1e-4, 1e-3, 1e-3, 1e-3])


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'linear'"):
        build_optimizer(**BASE, schedule="linear")


def test_biases_and_norms_do_not_decay():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
    )
    optimizer = build_optimizer(**BASE, schedule="constant")
    optimizer.build(model.trainable_variables)
    decayed = [v.path for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert len(decayed) == 1 and decayed[0].endswith("kernel")


def test_each_variable_may_have_a_rate_of_its_own():
    frozen, slow, free = (keras.Variable(np.ones(3, np.float32)) for _ in range(3))
    optimizer = build_optimizer(
        **(BASE | {"warmup_steps": 0, "weight_decay": 0.0}),
        schedule="constant",
        factors=[0.0, 0.1, 1.0],
    )
    variables = [frozen, slow, free]
    optimizer.build(variables)
    optimizer.apply([keras.ops.ones(3)] * 3, variables)
    moved = [float(1 - np.asarray(variable)[0]) for variable in variables]
    assert moved == pytest.approx([0, 1e-4, 1e-3], rel=1e-3)
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.factors == [0.0, 0.1, 1.0]


def test_average_follows_and_is_swapped_in_and_out():
    weight = keras.Variable(np.zeros(3, np.float32))
    average = WeightAverage([weight], momentum=0.9)
    weight.assign(np.ones(3))
    average.update()
    np.testing.assert_allclose(average.variables[0], 0.1, rtol=1e-6)
    with average.swapped_in():
        np.testing.assert_allclose(weight, 0.1, rtol=1e-6)
    np.testing.assert_array_equal(weight, 1)


def test_momentum_zero_turns_averaging_off():
    weight = keras.Variable(np.ones(3, np.float32))
    average = WeightAverage([weight], momentum=0)
    average.update()
    with average.swapped_in():
        np.testing.assert_array_equal(weight, 1)
    assert average.variables == []


def test_checkpoint_brings_variables_and_progress_back(tmp_path):
    path = tmp_path / "checkpoints" / "latest.npz"
    values = [np.arange(4, dtype=np.float32), np.float32(7)]
    progress = Progress(epoch=2, step=5, history=[{"epoch": 1, "loss": 0.5}], best=0.4)
    progress.guard = {"steps": 7, "sums": {"accuracy_real": [1.5, 2.0]}}
    save_checkpoint(path, {"model": [keras.Variable(value) for value in values]}, progress)
    fresh = [keras.Variable(np.zeros_like(value)) for value in values]
    restore_variables(path, {"model": fresh})
    for variable, value in zip(fresh, values, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert load_progress(path) == progress
    assert [file.name for file in path.parent.iterdir()] == ["latest.npz"]


def test_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "latest.npz"
    save_checkpoint(path, {"model": [keras.Variable(np.zeros(3, np.float32))]}, Progress())
    with pytest.raises(ColorizerError, match="model does not fit"):
        restore_variables(path, {"model": [keras.Variable(np.zeros(4, np.float32))]})


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_damaged_checkpoint_is_a_clear_error(tmp_path, content):
    path = tmp_path / "latest.npz"
    path.write_bytes(content)
    with pytest.raises(ColorizerError, match="not a readable checkpoint"):
        load_progress(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "discriminator_loss"])
def test_nan_guard_names_loss_epoch_and_step(name, value):
    guard = NanGuard()
    guard.on_epoch_begin(2)
    guard.on_train_batch_end(0, {name: 1.0, "accuracy": float("nan")})
    with pytest.raises(ColorizerError, match=f"^{name} is .* in epoch 3, step 5"):
        guard.on_train_batch_end(4, {name: value})


def test_what_one_worker_is_asked_stops_all_for_the_same_reason():
    request = StopRequest(None)
    for others, error in (
        ([True, True, True], KeyboardInterrupt),
        ([False, True, True], Terminated),
        ([False, False, True], OutOfTime),
    ):
        assert not StopRequest(None).is_due
        request.ask_all = lambda *own, others=others: [own[i] or others[i] for i in range(3)]
        assert request.is_due
        with pytest.raises(error):
            request.raise_if_due()


def test_time_limit_is_raised_when_due():
    patient = StopRequest(None)
    assert not patient.is_due
    patient.raise_if_due()
    hasty = StopRequest(1e-9)
    assert hasty.is_due
    with pytest.raises(OutOfTime):
        hasty.raise_if_due()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_signals_wait_for_the_end_of_the_step(number, raised):
    stop = StopRequest(None)
    before = signal.getsignal(number)
    with stop.catching_signals():
        os.kill(os.getpid(), number)
        assert stop.is_due
        with pytest.raises(raised):
            stop.raise_if_due()
    assert signal.getsignal(number) is before


def test_an_ignored_ctrl_c_stays_ignored():
    """So it is where a shell runs the training in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop = StopRequest(None)
        with stop.catching_signals():
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.is_due
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_clock_that_is_set_changes_neither_limit_nor_checkpoints(monkeypatch):
    stop = StopRequest(60.0)
    saved: list[int] = []
    keeper = StepKeeper(lambda done, logs: saved.append(done), lambda: None, stop, 60.0)
    keeper.on_epoch_begin(0)
    now = time.time()
    for day in (-1, 1):
        monkeypatch.setattr(time, "time", lambda day=day: now + 86_400 * day)
        assert not stop.is_due
        keeper.on_train_batch_end(0)
    assert saved == []


def test_sample_grid_lays_out_gray_predicted_true():
    lightness = np.zeros((2, 8, 8, 1), np.float32)
    predicted = np.full((2, 8, 8, 2), 0.2, np.float32)
    true = np.full((2, 8, 8, 2), -0.2, np.float32)
    grid = sample_grid(lightness, predicted, true)
    assert grid.shape == (16, 24, 3) and grid.dtype == np.uint8
    gray, warm, cold = grid[0, 0], grid[0, 8], grid[0, 16]
    assert gray.max() - gray.min() <= 1
    assert warm[0] > warm[2] and cold[2] > cold[0]


@pytest.mark.parametrize(
    ("more", "panels"),
    [((), 1), (("val_score", "generator_loss", "discriminator_loss"), 3)],
    ids=["supervised", "adversarial"],
)
def test_learning_curve_has_a_panel_for_what_there_is(tmp_path, more, panels):
    names = ("loss", "val_loss", "learning_rate", *more)
    history = [{"epoch": i, **dict.fromkeys(names, 1 / i)} for i in (1, 2)]
    save_learning_curve(tmp_path / "curve.png", history)
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size[0] > 400
        assert (image.size[1] > image.size[0] * 0.7) == (panels > 1)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_fused_update_is_adamw_s(accumulation):
    random = np.random.default_rng(0)
    gradients = [random.normal(size=(4, 3)).astype(np.float32) for _ in range(6)]
    found = []
    for kind in (keras.optimizers.AdamW, LayerwiseAdamW):
        variable = keras.Variable(np.ones((4, 3), np.float32))
        optimizer = kind(
            1e-2,
            weight_decay=0.1,
            beta_1=0.5,
            gradient_accumulation_steps=accumulation if accumulation > 1 else None,
        )
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)])
        found.append([variable.numpy(), *(v.numpy() for v in optimizer.variables)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
