import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer import losses, models
from colorizer.models.dcgan import (
    LatentNoise,
    build_dcgan_discriminator,
    build_dcgan_generator,
    split_dcgan_generator,
)
from colorizer.training.precision import dtype_policy

TINY = {"latent_size": 10, "processor_filters": (4, 6, 8), "filters": (8, 6, 4)}


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    lightness = rng.uniform(-1, 1, (3, 32, 32, 1)).astype(np.float32)
    ab = rng.uniform(-0.5, 0.5, (3, 32, 32, 2)).astype(np.float32)
    return {"lightness": tf.constant(lightness), "ab": tf.constant(ab)}


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def multiply_adds(model: keras.Model, prefix: str) -> list[int]:
    """Of each convolution whose name starts so."""
    counts = []
    for layer in model.layers:
        if layer.name.startswith(prefix) and hasattr(layer, "kernel"):
            # A transposed convolution applies its kernel at each place of its input.
            transposed = isinstance(layer, keras.layers.Conv2DTranspose)
            places = (layer.input if transposed else layer.output).shape[1:3]
            counts.append(int(np.prod(places) * np.prod(layer.kernel.shape)))
    return counts


def test_generator_has_the_layers_of_the_report_in_their_order():
    down = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    up = ["Conv2DTranspose", "BatchNormalization", "ReLU"]
    expected = [
        *["InputLayer", *down, *down, *down, "Conv2D", "LatentNoise"],
        *[*up, *up, *up, "Conv2DTranspose", "Activation"],
    ]
    assert kinds(build_dcgan_generator(32, **TINY)) == expected


def test_generator_of_the_report_size():
    model = build_dcgan_generator(256)
    assert model.get_layer("latent").output.shape == (None, 1, 1, 100)
    sides = [model.get_layer(f"grower_{n}").output.shape[1] for n in range(1, 7)]
    assert sides == [4, 8, 16, 32, 64, 128]
    assert [model.get_layer(f"grower_{n}").filters for n in range(1, 7)] == [
        *[512, 256, 128, 64, 32, 16]
    ]
    assert models.network_size(model) == 256
    assert model.input.name == "lightness" and model.output_names == ["ab"]
    assert model.get_layer("ab").activation is keras.activations.tanh


def test_cost_is_spread_evenly_over_the_levels():
    generator, discriminator = build_dcgan_generator(256), build_dcgan_discriminator(256)
    level = 33_554_432
    assert multiply_adds(generator, "grower")[1:6] == [level] * 5
    assert multiply_adds(generator, "processor")[1:6] == [level] * 5
    assert multiply_adds(discriminator, "block")[1:6] == [level] * 5
    assert sum(multiply_adds(generator, "")) < 12 * level


def test_discriminator_has_the_layers_of_the_report_in_their_order():
    block = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    expected = ["Concatenate", *block, *block, *block, "Conv2D", "Flatten", "Activation"]
    model = build_dcgan_discriminator(32, filters=(4, 6, 8))
    assert kinds(model)[2:] == expected
    assert set(kinds(model)[:2]) == {"InputLayer"}


def test_discriminator_gives_a_logit_a_photo_and_its_features(photos):
    outputs = build_dcgan_discriminator(32, filters=(4, 6, 8))(photos)
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (3, 1),
        "probability": (3, 1),
        "feature_1": (3, 16, 16, 4),
        "feature_2": (3, 8, 8, 6),
        "feature_3": (3, 4, 4, 8),
    }
    np.testing.assert_allclose(
        outputs["probability"], 1 / (1 + np.exp(-outputs["logits"])), rtol=1e-5
    )


def test_discriminator_reads_both_lightness_and_ab(photos):
    model = build_dcgan_discriminator(32, filters=(4, 6, 8))
    logits = model(photos)["logits"]
    for name in photos:
        other = model({**photos, name: -photos[name]})["logits"]
        assert np.abs(other - logits).min() > 0


def test_weights_start_from_the_paper_s_normal_and_differ():
    model = build_dcgan_generator(64)
    kernels = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]
    drawn = np.concatenate([kernel.ravel() for kernel in kernels])
    assert np.std(drawn) == pytest.approx(0.02, rel=0.02) and abs(np.mean(drawn)) < 1e-4
    starts = [tuple(kernel.ravel()[:4]) for kernel in kernels]
    assert len(set(starts)) == len(starts)


def test_noise_is_drawn_in_training_only():
    layer = LatentNoise(2.0, seed=1)
    vector = tf.zeros((50, 1, 1, 100))
    np.testing.assert_array_equal(layer(vector), vector)
    first, second = layer(vector, training=True), layer(vector, training=True)
    assert np.std(first) == pytest.approx(2.0, rel=0.05)
    assert np.abs(first - second).max() > 1
    assert np.std(LatentNoise(noise_at_inference=True)(vector)) == pytest.approx(1.0, rel=0.05)


def test_noise_repeats_with_its_seed_and_its_config():
    layer = LatentNoise(0.5, noise_at_inference=True, seed=7, name="latent")
    twin = LatentNoise.from_config(layer.get_config())
    vector = tf.ones((4, 1, 1, 10))
    np.testing.assert_array_equal(layer(vector), twin(vector))
    assert twin.get_config() == layer.get_config()


def test_noise_is_not_rounded_in_mixed_precision():
    with dtype_policy("mixed_float16"):
        model = build_dcgan_generator(32, **TINY)
    assert model.get_layer("latent").output.dtype == "float32"
    assert model.output.dtype == "float32"


def test_halves_share_the_generator_s_layers_and_take_own_noise(photos):
    generator = build_dcgan_generator(32, **TINY)
    processor, grower = split_dcgan_generator(generator)
    lightness = photos["lightness"]
    vector = processor(lightness)
    assert vector.shape == (3, 1, 1, 10)
    np.testing.assert_allclose(grower(vector), generator(lightness), atol=1e-6)
    noise = tf.random.stateless_normal(vector.shape, (1, 2))
    assert np.abs(grower(vector + noise) - grower(vector)).max() > 1e-6
    held = {id(weight) for weight in (*processor.weights, *grower.weights)}
    assert held == {id(weight) for weight in generator.weights}


def test_halves_of_a_loaded_generator(tmp_path, photos):
    generator = build_dcgan_generator(32, **TINY)
    generator.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    lightness = photos["lightness"]
    np.testing.assert_array_equal(generator(lightness), loaded(lightness))
    processor, grower = split_dcgan_generator(loaded)
    np.testing.assert_allclose(grower(processor(lightness)), loaded(lightness), atol=1e-6)


def test_only_a_dcgan_can_be_split():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)], name="other")
    with pytest.raises(ValueError, match="other is no DCGAN generator"):
        split_dcgan_generator(model)


def test_discriminator_saves_and_loads_equal(tmp_path, photos):
    model = build_dcgan_discriminator(32, filters=(4, 6, 8))
    model(photos, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    outputs, again = model(photos), loaded(photos)
    assert outputs.keys() == again.keys()
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, again[name])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_training_changes_every_weight_of_the_generator(policy, photos):
    with dtype_policy(policy):
        model = build_dcgan_generator(32, **TINY)
        model.compile("adam", loss=losses.huber, jit_compile=False)
    before = [weight.copy() for weight in model.get_weights()]
    # float16 skips the steps in which its loss scale is still too high.
    for _ in range(8):
        logs = model.train_on_batch(photos["lightness"], photos["ab"], return_dict=True)
    assert np.isfinite(logs["loss"])
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        # The vector's bias meets the noise and then batch normalization, which takes it out.
        if not weight.path.endswith("processor_vector/bias"):
            assert np.abs(new - old).max() > 0, weight.path


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_gradients_reach_every_weight_of_the_discriminator(policy, photos):
    with dtype_policy(policy):
        model = build_dcgan_discriminator(32, filters=(4, 6, 8))
    with tf.GradientTape() as tape:
        logits = model(photos, training=True)["logits"]
        loss = 256.0 * tf.reduce_mean(tf.nn.softplus(-logits))
    assert logits.dtype == tf.float32
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (build_dcgan_generator, {"image_size": 16}, "power of two, at least 32, not 16"),
        (build_dcgan_generator, {"image_size": 96}, "power of two, at least 32, not 96"),
        (build_dcgan_generator, {"filters": (4, 4)}, "filters must have 6 entries"),
        (build_dcgan_generator, {"processor_filters": (4,)}, "processor_filters must have 6"),
        (build_dcgan_generator, {"noise_stddev": -1.0}, "stddev must not be negative"),
        (build_dcgan_discriminator, {"image_size": 100}, "power of two"),
        (build_dcgan_discriminator, {"filters": (4,) * 7}, "filters must have 6 entries"),
    ],
)
def test_refuses_wrong_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
