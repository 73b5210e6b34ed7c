import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer.models.spectral import SpectralConv2D
from colorizer.training.building import build_strategy
from colorizer.training.precision import dtype_policy

SHAPE = (2, 8, 8, 3)


@pytest.fixture
def pictures():
    return tf.random.stateless_normal(SHAPE, (0, 1))


def built(seed: int = 0, **arguments: object) -> SpectralConv2D:
    keras.utils.set_random_seed(seed)
    layer = SpectralConv2D(5, 3, padding="same", bias_initializer="normal", **arguments)
    layer.build(SHAPE)
    layer.kernel.assign(3.0 * layer.kernel)
    return layer


def spectral_norm(kernel: object) -> float:
    return float(np.linalg.norm(np.reshape(kernel, (-1, 5)), 2))


def test_kernel_has_spectral_norm_1_after_some_calls(pictures):
    layer = built()
    kernel = layer.kernel.numpy()
    for _ in range(40):
        layer(pictures, training=True)
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)
    assert spectral_norm(layer.normalized_kernel()) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(
        layer.normalized_kernel(), kernel / spectral_norm(kernel), rtol=1e-3, atol=1e-5
    )


def test_is_the_plain_convolution_with_that_kernel(pictures):
    layer = built(activation="relu")
    plain = keras.layers.Conv2D(5, 3, padding="same", activation="relu")
    plain.build(SHAPE)
    plain.kernel.assign(layer.normalized_kernel())
    plain.bias.assign(layer.bias)
    np.testing.assert_allclose(layer(pictures), plain(pictures), atol=1e-5)


def test_more_iterations_are_the_same_as_more_calls(pictures):
    slow, fast = built(), built(power_iterations=3)
    for _ in range(3):
        slow(pictures, training=True)
    fast(pictures, training=True)
    np.testing.assert_allclose(slow.left_vector, fast.left_vector, atol=1e-5)


def test_only_training_calls_move_the_power_iteration(pictures):
    layer = built()
    before = layer.left_vector.numpy()
    layer(pictures)
    np.testing.assert_array_equal(layer.left_vector, before)
    layer(pictures, training=True)
    assert np.abs(layer.left_vector - before).max() > 0.01


def test_gradient_passes_through_the_norm(pictures):
    """The scale of W has no effect, so the gradient must be orthogonal to W, and is that of
    finite differences."""
    layer = built()
    for _ in range(60):
        layer(pictures, training=True)

    def loss() -> tf.Tensor:
        return tf.reduce_mean(tf.square(layer(pictures) - 1.0))

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, layer.kernel.value).numpy()
    kernel = layer.kernel.numpy()
    cosine = np.sum(gradient * kernel) / np.linalg.norm(gradient) / np.linalg.norm(kernel)
    assert abs(cosine) < 1e-3
    way = np.random.default_rng(0).normal(size=kernel.shape).astype(np.float32)
    losses = []
    for step in (1e-2, -1e-2):
        layer.kernel.assign(kernel + step * way)
        for _ in range(30):
            layer.normalized_kernel(training=True)
        losses.append(float(loss()))
    assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(np.sum(gradient * way), rel=0.02)


def test_a_zero_kernel_gives_zero(pictures):
    layer = built(use_bias=False)
    layer.kernel.assign(tf.zeros(layer.kernel.shape))
    np.testing.assert_array_equal(layer(pictures, training=True), np.zeros((2, 8, 8, 5)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_the_weights_in_float32(policy, pictures):
    full, half = built(), built(dtype=policy)
    half.kernel.assign(full.kernel)
    half.left_vector.assign(full.left_vector)
    for layer in (full, half):
        for _ in range(3):
            output = layer(pictures, training=True)
    assert output.dtype == half.compute_dtype
    np.testing.assert_array_equal(half.left_vector, full.left_vector)
    np.testing.assert_array_equal(half.normalized_kernel(), full.normalized_kernel())
    np.testing.assert_allclose(tf.cast(output, tf.float32), full(pictures), atol=0.05)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_saves_and_loads_equal(policy, pictures, tmp_path):
    with dtype_policy(policy):
        model = keras.Sequential(
            [keras.Input(SHAPE[1:]), SpectralConv2D(5, 3, strides=2, power_iterations=2)]
        )
    model(pictures, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.layers[0].power_iterations == 2
    np.testing.assert_array_equal(model(pictures), loaded(pictures))


def test_mirrored_replicas_keep_one_vector(pictures):
    strategy = build_strategy(2)
    with strategy.scope():
        mirrored = built()
    alone = built()

    @tf.function
    def train() -> object:
        return strategy.run(lambda: mirrored(pictures, training=True))

    for _ in range(2):
        outputs = strategy.experimental_local_results(train())
        expected = alone(pictures, training=True)
    for output in outputs:
        np.testing.assert_allclose(output, expected, atol=1e-5)
    for value in strategy.experimental_local_results(mirrored.left_vector.value):
        np.testing.assert_allclose(value, alone.left_vector, atol=1e-6)


def test_refuses_no_iterations():
    with pytest.raises(ValueError, match="power_iterations must be positive, not 0"):
        SpectralConv2D(5, 3, power_iterations=0)
