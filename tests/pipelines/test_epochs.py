"""How often an epoch shows photos of a weight."""

import numpy as np
import pytest

from pipelines.epochs import epoch_length, photos_shown


def times(weights: np.ndarray, epochs: int, seed: int = 3) -> np.ndarray:
    """How often each epoch shows each photo, (epochs, N)."""
    shown = [photos_shown(weights, seed, epoch) for epoch in range(epochs)]
    return np.array([np.bincount(indices, minlength=len(weights)) for indices in shown])


def test_weights_of_one_show_every_photo_once():
    np.testing.assert_array_equal(photos_shown(np.ones(7), 1, 4), np.arange(7))
    assert epoch_length(np.ones(7)) == 7


@pytest.mark.parametrize("weight", [0.1, 0.5, 1.3, 2.0, 2.75])
def test_a_photo_is_shown_as_often_as_its_weight_says(weight):
    weights = np.array([weight] * 40 + [1.0] * 10)
    shown = times(weights, 20)
    assert set(np.unique(shown[:, :40])) <= {int(weight), int(np.ceil(weight))}
    assert (shown[:, 40:] == 1).all()
    for epochs in range(1, 21):
        so_far = shown[:epochs, :40].sum(axis=0)
        assert (np.abs(so_far - weight * epochs) < 1).all()


def test_epochs_are_as_long_as_promised():
    weights = np.array([0.37] * 31 + [1.61] * 17)
    lengths = times(weights, 50).sum(axis=1)
    assert epoch_length(weights) == 11 + 27
    assert lengths.min() >= epoch_length(weights) and lengths.max() <= epoch_length(weights) + 2


def test_halves_take_turns_and_depend_on_the_seed():
    weights = np.full(20, 0.5)
    shown = times(weights, 2)
    np.testing.assert_array_equal(shown.sum(axis=0), np.ones(20))
    assert shown[0].sum() == 10
    assert (times(weights, 1, seed=4)[0] != shown[0]).any()
    np.testing.assert_array_equal(times(weights, 2), shown)
