import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from colorizer import losses
from colorizer.ab_classes import (
    CENTERS,
    CLASSES,
    STEP,
    AnnealedMean,
    class_shares,
    rebalancing,
    soft_classes,
)
from pipelines import color


def random_rgb(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (*shape, 3)).astype(np.float32)


def test_the_classes_are_the_grid_points_nearest_to_srgb_colours():
    # Every third level, the gamut's corners among them: enough to meet each class.
    levels = np.arange(0, 256, 3, dtype=np.float64) / 255
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    ab = np.asarray(color.rgb_to_lab(rgb))[:, 1:]
    met = {tuple(cell) for cell in np.unique(np.rint(ab / STEP).astype(int), axis=0).tolist()}
    classes = np.rint(CENTERS * color.AB_RANGE / STEP).astype(int).tolist()
    assert len(classes) == CLASSES == 261
    assert met == {tuple(cell) for cell in classes}


def test_the_mean_of_a_colour_s_classes_is_the_colour():
    _, ab = color.rgb_to_lightness_ab(random_rgb(500))
    numbers, weights = soft_classes(ab)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-5)
    mean = np.sum(np.asarray(weights)[..., None] * CENTERS[np.asarray(numbers)], axis=-2)
    error = np.abs(mean - ab).max(axis=-1) * color.AB_RANGE
    # At the gamut's edge a corner may have no class.
    assert np.mean(error < 1e-3) > 0.9 and error.max() < STEP


def test_a_class_s_own_colour_is_that_class_alone():
    numbers, weights = soft_classes(CENTERS)
    likeliest = np.take_along_axis(
        np.asarray(numbers), np.argmax(weights, axis=-1)[..., None], axis=-1
    )
    np.testing.assert_array_equal(likeliest[:, 0], np.arange(CLASSES))
    np.testing.assert_allclose(np.max(weights, axis=-1), 1, atol=1e-5)


def test_colours_far_outside_the_gamut_weigh_nothing():
    _, weights = soft_classes(np.float32([[1.0, 1.0], [-1.0, -1.0]]))
    np.testing.assert_array_equal(weights, 0)


def logits_of(probabilities: dict[int, float]) -> np.ndarray:
    logits = np.full((1, 1, 1, CLASSES), -100.0, np.float32)
    for number, probability in probabilities.items():
        logits[..., number] = np.log(probability)
    return logits


def test_temperature_goes_from_the_mean_to_the_likeliest_class():
    logits = logits_of({3: 0.6, 200: 0.4})
    mean = 0.6 * CENTERS[3] + 0.4 * CENTERS[200]
    np.testing.assert_allclose(AnnealedMean(1.0)(logits)[0, 0, 0], mean, rtol=1e-4)
    np.testing.assert_allclose(AnnealedMean(0.01)(logits)[0, 0, 0], CENTERS[3], rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_of_zero_or_less_is_refused(temperature):
    with pytest.raises(ValueError, match="above 0"):
        AnnealedMean(temperature)


def test_the_layer_round_trips_and_stays_in_float32():
    layer = AnnealedMean(0.38, np.linspace(0, 1, CLASSES))
    again = AnnealedMean.from_config(layer.get_config())
    assert (again.temperature, again.offsets) == (0.38, layer.offsets)
    output = layer(tf.cast(logits_of({3: 1.0}), tf.float16))
    assert output.dtype == tf.float32
    assert tuple(layer.compute_output_shape((None, 4, 4, CLASSES))) == (None, 4, 4, 2)


def test_shares_are_those_of_the_colours():
    colours = CENTERS[[3, 3, 3, 200]].reshape(2, 2, 1, 2)
    shares = class_shares(colours)
    assert shares[3] == pytest.approx(0.75, abs=1e-4)
    assert shares[200] == pytest.approx(0.25, abs=1e-4)
    assert shares.sum() == pytest.approx(1)


def test_rebalancing_takes_the_shares_out():
    shares = np.full(CLASSES, 0.1 / (CLASSES - 2))
    shares[[3, 200]] = 0.8, 0.1
    np.testing.assert_array_equal(rebalancing(shares, 0.0), 0)
    odds = np.exp(rebalancing(shares, 1.0))
    mixed = 0.5 * shares + 0.5 / CLASSES
    assert odds[200] / odds[3] == pytest.approx(mixed[3] / mixed[200])
    # A photo of which the network knows no more than the shares may then have any colour.
    logits = np.log(shares).astype(np.float32)[None, None, None]
    balanced, usual = AnnealedMean(1.0, rebalancing(shares, 1.0))(logits), AnnealedMean()(logits)
    assert np.abs(balanced - CENTERS[3]).max() > np.abs(usual - CENTERS[3]).max()
    with pytest.raises(ValueError, match="expected 261 shares, got shape"):
        rebalancing([0.5, 0.5], 1.0)


def test_cross_entropy_is_that_of_keras():
    rng = np.random.default_rng(1)
    _, ab = color.rgb_to_lightness_ab(random_rgb(2, 8, 8))
    logits = rng.normal(size=(2, 2, 2, CLASSES)).astype(np.float32)
    small = np.asarray(ab).reshape(2, 2, 4, 2, 4, 2).mean(axis=(2, 4))
    numbers, weights = (np.asarray(part) for part in soft_classes(small))
    dense = np.zeros(logits.shape, np.float32)
    for corner in range(4):
        number, weight = numbers[..., corner, None], weights[..., corner, None]
        added = np.take_along_axis(dense, number, -1) + weight
        np.put_along_axis(dense, number, added, -1)
    expected = keras.losses.categorical_crossentropy(dense, logits, from_logits=True)
    np.testing.assert_allclose(
        losses.class_cross_entropy(np.asarray(ab), logits),
        np.mean(expected, axis=(1, 2)),
        rtol=1e-4,
    )


def test_cross_entropy_has_finite_gradients_in_a_graph():
    ab = tf.constant(np.random.default_rng(2).uniform(-1, 1, (1, 4, 4, 2)), tf.float32)

    @tf.function
    def slope(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = losses.class_cross_entropy(ab, logits)
        return tape.gradient(loss, logits)

    assert np.isfinite(slope(tf.zeros((1, 2, 2, CLASSES)))).all()


@given(arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32)))
def test_the_mean_of_any_colour_s_classes_is_the_colour(rgb):
    _, ab = color.rgb_to_lightness_ab(rgb)
    numbers, weights = (keras.ops.convert_to_numpy(part) for part in soft_classes(ab))
    assert numbers.min() >= 0 and numbers.max() < CLASSES and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    mean, ab = (CENTERS[numbers] * weights[..., None]).sum(axis=-2), np.asarray(ab)
    # At the gamut's edge some corners have no class: less than a step is lost there.
    assert np.abs(mean - ab).max() <= STEP / color.AB_RANGE
    inside = (weights > 0).sum(axis=-1) == 4
    np.testing.assert_allclose(mean[inside], ab[inside], atol=1e-5)
