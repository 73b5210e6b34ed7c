import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer.models.attention import SelfAttention2D
from colorizer.models.patchgan import build_patchgan_discriminator, receptive_field
from colorizer.models.spectral import SpectralConv2D
from colorizer.training.precision import dtype_policy

TINY = {"image_size": 32, "filters": (4, 8, 8)}
KINDS = [
    {"normalization": "batch"},
    {"normalization": "instance"},
    {"normalization": "layer", "attention": True},
    {"normalization": "none", "spectral_normalization": True, "attention": True},
]
NAMES = ["batch", "instance", "layer+attention", "spectral+attention"]


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    lightness = rng.uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    ab = rng.uniform(-0.5, 0.5, (2, 32, 32, 2)).astype(np.float32)
    return {"lightness": tf.constant(lightness), "ab": tf.constant(ab)}


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[2:]]


def test_first_block_is_not_normalized():
    conv, norm, relu = "Conv2D", "BatchNormalization", "LeakyReLU"
    expected = ["Concatenate", conv, relu, conv, norm, relu, conv, norm, relu, conv, "Activation"]
    assert kinds(build_patchgan_discriminator(**TINY)) == expected


def test_a_logit_a_patch_and_the_features(photos):
    outputs = build_patchgan_discriminator(**TINY)(photos)
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (2, 4, 4, 1),
        "probability": (2, 4, 4, 1),
        "feature_1": (2, 16, 16, 4),
        "feature_2": (2, 8, 8, 8),
        "feature_3": (2, 4, 4, 8),
    }
    np.testing.assert_allclose(
        outputs["probability"], 1 / (1 + np.exp(-outputs["logits"])), rtol=1e-5
    )
    assert build_patchgan_discriminator(256).output["logits"].shape == (None, 16, 16, 1)


def test_pooled_it_sees_no_finer_than_the_pool(photos):
    model = build_patchgan_discriminator(32, pool=4, filters=(4, 8), normalization="none")
    stripes = tf.cast(tf.range(32) % 2 * 2 - 1, tf.float32)
    checks = stripes[None, None, :, None] * tf.ones((2, 32, 32, 2))
    plain, fine = (
        model({"lightness": photos["lightness"], "ab": ab})["logits"]
        for ab in (photos["ab"], photos["ab"] + 0.3 * checks)
    )
    assert plain.shape == (2, 2, 2, 1)
    np.testing.assert_allclose(plain, fine, atol=1e-6)
    with pytest.raises(ValueError, match="a multiple of 64"):
        build_patchgan_discriminator(32, pool=16, filters=(4, 8))


@pytest.mark.parametrize("blocks", [2, 3])
def test_receptive_field_is_what_a_logit_depends_on(blocks):
    # Keras's zero biases would hide units that Leaky ReLU does not.
    model = build_patchgan_discriminator(64, filters=(8,) * blocks, normalization="none")
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(tf.abs(layer.kernel))
    ab = tf.ones((1, 64, 64, 2))
    with tf.GradientTape() as tape:
        tape.watch(ab)
        logits = model({"lightness": tf.ones((1, 64, 64, 1)), "ab": ab})["logits"]
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    seen = np.abs(tape.gradient(middle, ab)[0]).sum(axis=-1) > 0
    side = receptive_field(blocks)
    assert seen.any(axis=0).sum() == side and seen.any(axis=1).sum() == side


def test_receptive_fields():
    # Isola's 70x70: strides 2, 2, 2, 1, 1.
    assert [receptive_field(blocks) for blocks in (2, 3, 4)] == [22, 46, 94]


@pytest.mark.parametrize(("normalization", "axes"), [("instance", (1, 2)), ("layer", (1, 2, 3))])
def test_normalization_by_photo(normalization, axes, photos):
    model = build_patchgan_discriminator(**TINY, normalization=normalization)
    normed = keras.Model(model.input, model.get_layer("block_2_norm").output)(photos)
    # The convolution's output is small, so Keras's epsilon of 1e-3 takes a part of the deviation.
    np.testing.assert_allclose(np.mean(normed, axis=axes), 0.0, atol=1e-4)
    alone = {name: value[:1] for name, value in photos.items()}
    np.testing.assert_allclose(
        model(photos, training=True)["logits"][:1], model(alone)["logits"], atol=1e-6
    )


def test_spectral_normalization_bounds_every_convolution():
    model = build_patchgan_discriminator(**TINY, spectral_normalization=True)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 4
    assert all(isinstance(layer, SpectralConv2D) for layer in convolutions)


def test_attention_stands_after_the_last_block_but_one():
    model = build_patchgan_discriminator(**TINY, attention=True, spectral_normalization=True)
    attention = model.get_layer("attention")
    assert isinstance(attention, SelfAttention2D) and attention.spectral_normalization
    assert attention.output.shape == (None, 8, 8, 8)
    names = [layer.name for layer in model.layers]
    assert names[names.index("block_2_relu") + 1 :][:2] == ["attention", "block_3"]


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_saves_and_loads_equal(kind, photos, tmp_path):
    model = build_patchgan_discriminator(**TINY, **kind)
    if kind.get("attention"):
        model.get_layer("attention").gamma.assign(0.5)
    model(photos, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    outputs, again = model(photos), loaded(photos)
    assert outputs.keys() == again.keys()
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, again[name])


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_gradients_reach_every_weight_in_each_precision(policy, kind, photos):
    with dtype_policy(policy):
        model = build_patchgan_discriminator(**TINY, **kind)
    if kind.get("attention"):
        model.get_layer("attention").gamma.assign(0.5)
    with tf.GradientTape() as tape:
        outputs = model(photos, training=True)
        loss = 256.0 * tf.reduce_mean(tf.nn.softplus(-outputs["logits"]))
    assert outputs["logits"].dtype == outputs["probability"].dtype == tf.float32
    assert outputs["feature_1"].dtype == policy.removeprefix("mixed_")
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert np.isfinite(gradient).all(), weight.path
        # A bias before normalization has no effect and so no gradient but rounding.
        if not weight.path.endswith("bias"):
            assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, "at least one entry"),
        ({"image_size": 36}, "multiple of 8, not 36"),
        ({"image_size": 0}, "multiple of 8, not 0"),
        ({"normalization": "group"}, "no normalization 'group'; there are batch, instance"),
        ({"filters": (4,), "attention": True}, "at least 2 blocks, not 1"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_patchgan_discriminator(**{**TINY, **arguments})
