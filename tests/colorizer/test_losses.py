import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer import losses

SHAPE = (3, 4, 5, 2)


def pair(error: float) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted ab that differ by `error` Lab units everywhere."""
    y_true = np.random.default_rng(0).uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    return y_true, y_true + np.float32(error / 128)


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("l1", 3.0, 3.0),
        ("mse", 3.0, 9.0),
        ("huber", 6.0, 0.5 * 36 / 12),
        ("huber", -30.0, 30 - 6),
    ],
)
def test_a_constant_error_in_lab_units(name, error, expected):
    values = losses.by_name(name)(*pair(error))
    np.testing.assert_allclose(values, np.full(SHAPE[0], expected), rtol=1e-4)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_no_error_no_loss(name):
    np.testing.assert_array_equal(losses.by_name(name)(*pair(0)), np.zeros(SHAPE[0]))


def test_huber_is_that_of_keras_over_delta():
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.uniform(-0.3, 0.3, (2, *SHAPE)).astype(np.float32)
    expected = keras.losses.huber(128 * y_true, 128 * y_pred, delta=losses.HUBER_DELTA)
    np.testing.assert_allclose(
        losses.huber(y_true, y_pred),
        np.mean(expected, axis=(1, 2)) / losses.HUBER_DELTA,
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", losses.LOSSES)
def test_half_precision_predictions_are_compared_in_float32(name):
    y_true, y_pred = pair(3.0)
    value = losses.by_name(name)(y_true, tf.cast(y_pred, tf.bfloat16))
    assert value.dtype == tf.float32


@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_are_finite_at_zero_error(name):
    y_true = tf.constant(pair(0)[0])
    with tf.GradientTape() as tape:
        tape.watch(y_true)
        loss = losses.by_name(name)(tf.identity(y_true), y_true)
    assert np.isfinite(tape.gradient(loss, y_true)).all()


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'l3'; there are l1, mse, huber"):
        losses.by_name("l3")
