import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer.models.attention import SelfAttention2D
from colorizer.models.spectral import SpectralConv2D
from colorizer.training.precision import dtype_policy

SHAPE = (2, 4, 6, 16)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def attending(gamma: float = 0.7, **arguments: object) -> SelfAttention2D:
    keras.utils.set_random_seed(0)
    layer = SelfAttention2D(4, **arguments)
    layer.build(SHAPE)
    layer.gamma.assign(gamma)
    return layer


def test_untrained_it_is_the_identity_and_gamma_learns(pictures):
    layer = SelfAttention2D(4)
    with tf.GradientTape() as tape:
        output = layer(pictures)
        loss = tf.reduce_sum(tf.square(output - 1.0))
    np.testing.assert_array_equal(output, pictures)
    assert abs(float(tape.gradient(loss, layer.gamma.value))) > 0


def test_is_the_formula_of_the_paper(pictures):
    layer = attending()
    f, g, h, v = (
        part.kernel.numpy()[0, 0]
        for part in (layer.key, layer.query, layer.content, layer.widening)
    )
    assert f.shape == (16, 4) and v.shape == (4, 16)
    for picture, output in zip(pictures, layer(pictures), strict=True):
        x = picture.reshape(-1, 16)
        scores = np.exp((x @ g) @ (x @ f).T)
        beta = scores / scores.sum(axis=1, keepdims=True)
        expected = x + 0.7 * (beta @ (x @ h)) @ v
        np.testing.assert_allclose(np.reshape(output, (-1, 16)), expected, rtol=1e-4, atol=1e-4)


def test_a_place_sees_all_others(pictures):
    layer = attending()
    changed = pictures.copy()
    changed[:, 0, 0] += 1.0
    moved = np.abs(layer(changed) - layer(pictures)).max(axis=-1)
    assert (moved > 1e-6).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_close_to_float32(policy, pictures):
    full, half = attending(), attending(dtype=policy)
    output = half(pictures)
    assert output.dtype == half.compute_dtype
    np.testing.assert_allclose(tf.cast(output, tf.float32), full(pictures), atol=0.1)
    # Scores beyond float16's range stay finite.
    assert np.isfinite(tf.cast(half(100.0 * pictures), tf.float32)).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_saves_and_loads_equal(policy, pictures, tmp_path):
    with dtype_policy(policy):
        layer = SelfAttention2D(4, spectral_normalization=True)
        model = keras.Sequential([keras.Input(SHAPE[1:]), layer])
    layer.gamma.assign(0.5)
    model(pictures, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.layers[0].reduction == 4 and loaded.layers[0].spectral_normalization
    np.testing.assert_array_equal(model(pictures), loaded(pictures))


def test_spectral_normalization_is_in_all_four_and_moves_in_training(pictures):
    layer = attending(spectral_normalization=True)
    parts = [layer.key, layer.query, layer.content, layer.widening]
    assert all(isinstance(part, SpectralConv2D) for part in parts)
    before = [part.left_vector.numpy() for part in parts]
    layer(pictures)
    for part, vector in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part.left_vector, vector)
    layer(pictures, training=True)
    for part, vector in zip(parts, before, strict=True):
        assert np.abs(part.left_vector - vector).max() > 0


def test_takes_any_batch_size_in_a_graph():
    model = keras.Sequential([keras.Input((4, 4, 16)), SelfAttention2D()])
    for batch in (1, 3):
        assert model.predict_on_batch(np.zeros((batch, 4, 4, 16))).shape == (batch, 4, 4, 16)


def test_refuses_wrong_reductions():
    with pytest.raises(ValueError, match="reduction must be positive, not 0"):
        SelfAttention2D(0)
    with pytest.raises(ValueError, match="4 channels cannot be reduced 8 times"):
        SelfAttention2D().build((None, 4, 4, 4))
