import keras
import numpy as np
import pytest

from colorizer.training.collapse import MAX_ROLLBACKS, CollapseGuard, Limits
from pipelines.errors import ColorizerError

GOOD = {
    "accuracy_real": 0.7,
    "accuracy_fake": 0.6,
    "spread_real": 10.0,
    "spread_fake": 6.0,
    "generator_gradient": 3.0,
    "discriminator_gradient": 2.0,
    "noise_diversity": 1.0,
}


@pytest.mark.parametrize(
    ("measures", "kind", "words"),
    [
        ({"accuracy_real": 1.0, "accuracy_fake": 0.995}, "discriminator", "it has won"),
        ({"spread_fake": 0.5}, "spread", "all photos get one tint"),
        ({"spread_fake": 31.0}, "spread", "tints run wild"),
        ({"generator_gradient": 1e-7}, "generator_gradient", "learns nothing"),
        ({"generator_gradient": 1e5}, "generator_gradient", "explodes"),
        ({"discriminator_gradient": 1e5}, "discriminator_gradient", "explodes"),
        ({"noise_diversity": 0.001}, "diversity", "one colouring only"),
    ],
)
def test_each_measure_has_its_alarm(measures, kind, words):
    alarms = Limits().alarms(GOOD | measures)
    assert list(alarms) == [kind] and words in alarms[kind]


def test_good_measures_and_none_are_no_alarm():
    assert Limits().alarms(GOOD) == {}
    assert Limits().alarms({}) == {}
    assert Limits().alarms(GOOD | {"accuracy_fake": 0.9, "accuracy_real": 1.0}) == {}


class Guarded:
    """A guard over one variable, with the calls that it makes to save."""

    def __init__(self, tmp_path, action: str, state: dict | None = None) -> None:
        self.weight = keras.Variable(np.zeros(2, np.float32))
        self.pace = keras.Variable(1.0, trainable=False)
        self.state = {} if state is None else state
        self.saved: list[int] = []
        self.guard = CollapseGuard(
            variables={"model": [self.weight]},
            pace=self.pace,
            good=tmp_path / "good.npz",
            state=self.state,
            save=lambda steps, logs: self.saved.append(steps),
            action=action,
            check_steps=1,
        )
        self.measures = GOOD
        self.guard._measures = lambda: self.measures
        self.guard.on_train_begin()

    def step(self, batch: int, value: float, measures: dict) -> None:
        self.weight.assign(np.full(2, value))
        self.measures = measures
        self.guard.on_train_batch_end(batch)


BAD = GOOD | {"spread_fake": 0.1}


def test_warns_in_words_and_goes_on(tmp_path, capsys):
    guarded = Guarded(tmp_path, "warn")
    guarded.step(0, 1.0, BAD)
    assert "warning: step 1: collapse: mean ab varies 0.01 times" in capsys.readouterr().err
    assert guarded.state["alarms"] == 1 and guarded.saved == []
    np.testing.assert_array_equal(guarded.weight, 1.0)


def test_stops_with_the_reason(tmp_path):
    guarded = Guarded(tmp_path, "stop")
    with pytest.raises(ColorizerError, match="collapsed at step 1: mean ab varies"):
        guarded.step(0, 1.0, BAD)


def test_rolls_back_to_the_last_good_state_and_slows_the_discriminator(tmp_path):
    guarded = Guarded(tmp_path, "rollback")
    guarded.step(0, 1.0, GOOD)
    guarded.step(1, 2.0, BAD)
    np.testing.assert_array_equal(guarded.weight, 1.0)
    assert float(guarded.pace) == 0.5
    # The run is saved at once: the good state may be replaced before the next checkpoint.
    assert guarded.saved == [2]
    guarded.step(2, 3.0, GOOD)
    guarded.step(3, 4.0, BAD)
    np.testing.assert_array_equal(guarded.weight, 3.0)
    assert float(guarded.pace) == 0.25


def test_gives_up_after_too_many_rollbacks(tmp_path):
    guarded = Guarded(tmp_path, "rollback")
    for batch in range(MAX_ROLLBACKS):
        guarded.step(batch, 1.0, BAD)
    with pytest.raises(ColorizerError, match="after 3 rollbacks"):
        guarded.step(MAX_ROLLBACKS, 1.0, BAD)


def test_the_state_goes_on_where_it_was(tmp_path):
    first = Guarded(tmp_path, "rollback")
    first.step(0, 1.0, GOOD)
    first.step(1, 2.0, BAD)
    second = Guarded(tmp_path, "rollback", dict(first.state))
    second.step(2, 5.0, BAD)
    np.testing.assert_array_equal(second.weight, 1.0)
    assert float(second.pace) == 0.25


def test_noise_is_not_missed_before_the_first_look(tmp_path, capsys):
    guarded = Guarded(tmp_path, "warn")
    guarded.guard.end_epoch({"noise_diversity": 0.0}, epoch=1)
    assert capsys.readouterr().err == ""
    guarded.step(0, 1.0, GOOD)
    guarded.guard.end_epoch({"noise_diversity": 0.0}, epoch=2)
    assert "the end of epoch 2: collapse: other noise changes" in capsys.readouterr().err
