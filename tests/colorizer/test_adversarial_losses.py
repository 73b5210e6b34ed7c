import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer import adversarial_losses
from colorizer.adversarial_losses import ADVERSARIAL_LOSSES, feature_matching, features_of

# One photo each: (real logit, fake logit).
REAL = np.array([[2.0], [-1.0], [0.5]], np.float32)
FAKE = np.array([[-3.0], [1.5], [0.0]], np.float32)


def probability(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits[:, 0].astype(np.float64)))


P_REAL, P_FAKE = probability(REAL), probability(FAKE)
GOODFELLOW = -np.log(P_REAL) - np.log(1 - P_FAKE)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("non_saturating", GOODFELLOW, -np.log(P_FAKE)),
        ("minimax", GOODFELLOW, np.log(1 - P_FAKE)),
        ("hinge", [0.0 + 0.0, 2.0 + 2.5, 0.5 + 1.0], [3.0, -1.5, 0.0]),
        (
            "least_squares",
            [(1 + 9) / 2, (4 + 2.25) / 2, (0.25 + 0) / 2],
            [16 / 2, 0.25 / 2, 1 / 2],
        ),
        ("wasserstein", [-5.0, 2.5, -0.5], [3.0, -1.5, 0.0]),
    ],
)
def test_losses_are_the_papers(name, discriminator, generator):
    loss = adversarial_losses.by_name(name)
    assert loss.name == name
    np.testing.assert_allclose(loss.discriminator(REAL, FAKE), discriminator, rtol=1e-5)
    np.testing.assert_allclose(loss.generator(FAKE), generator, rtol=1e-5)


@pytest.mark.parametrize("name", ["non_saturating", "minimax"])
def test_smoothing_is_cross_entropy_to_a_real_label_of_less_than_1(name):
    loss = adversarial_losses.by_name(name)
    labels = np.full_like(REAL, 0.9)
    expected = keras.losses.binary_crossentropy(labels, REAL, from_logits=True)
    expected += keras.losses.binary_crossentropy(np.zeros_like(FAKE), FAKE, from_logits=True)
    np.testing.assert_allclose(loss.discriminator(REAL, FAKE, 0.1), expected, rtol=1e-5)


def test_smoothing_of_least_squares_moves_the_real_target_only():
    value = adversarial_losses.by_name("least_squares").discriminator(REAL, FAKE, 0.1)
    expected = ((REAL - 0.9) ** 2 + FAKE**2)[:, 0] / 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_smoothing_is_refused_where_it_has_no_meaning(name):
    loss = adversarial_losses.by_name(name)
    wrong = (-0.1, 1.0) if loss.uses_labels else (-0.1, 0.1, 1.0)
    for smoothing in wrong:
        with pytest.raises(ValueError, match=r"label_smoothing must be in|no labels to smooth"):
            loss.discriminator(REAL, FAKE, label_smoothing=smoothing)
    assert loss.uses_labels == (name not in ("hinge", "wasserstein"))


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_patches_count_as_the_mean_over_a_photo(name):
    loss = adversarial_losses.by_name(name)
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 3, 4, 5, 1)).astype(np.float32)
    single = [
        loss.discriminator(r.reshape(-1, 1), f.reshape(-1, 1))
        for r, f in zip(real, fake, strict=True)
    ]
    np.testing.assert_allclose(
        loss.discriminator(real, fake), [np.mean(values) for values in single], rtol=1e-5
    )
    np.testing.assert_allclose(
        loss.generator(fake),
        [np.mean(loss.generator(f.reshape(-1, 1))) for f in fake],
        rtol=1e-5,
        atol=1e-6,
    )


def slope(loss: object, logit: float) -> float:
    logits = tf.constant([[logit]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits)
    return float(tape.gradient(value, logits)[0, 0])


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_sides_pull_the_logit_of_a_generated_photo_apart(name):
    loss = adversarial_losses.by_name(name)
    real = tf.zeros((1, 1))
    # Between the hinges, where every loss has a slope.
    for logit in (-0.9, 0.0, 0.9):
        assert slope(loss.generator, logit) < 0
    assert slope(lambda fake: loss.discriminator(real, fake), 0.5) > 0
    assert slope(lambda real: loss.discriminator(real, tf.zeros((1, 1))), -0.5) < 0


def test_only_minimax_saturates_where_the_discriminator_is_sure():
    assert slope(adversarial_losses.by_name("minimax").generator, -20.0) == pytest.approx(
        0, abs=1e-6
    )
    assert slope(adversarial_losses.by_name("non_saturating").generator, -20.0) == pytest.approx(-1)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_logits_are_judged_in_float32(name, dtype):
    loss = adversarial_losses.by_name(name)
    # Squared beyond float16, and far beyond where a sigmoid is exactly 0 or 1.
    real, fake = tf.constant([[-1000.0]], dtype), tf.constant([[1000.0]], dtype)
    for value in (loss.discriminator(real, fake), loss.generator(fake), loss.generator(real)):
        assert value.dtype == tf.float32 and value.shape == (1,) and np.isfinite(value).all()
    assert loss.discriminator(real, fake) > 1000


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no adversarial loss 'gan'; there are non_saturating, "):
        adversarial_losses.by_name("gan")


def test_feature_matching_is_the_mean_over_blocks_of_each_photo():
    real = [np.zeros((2, 4, 4, 3), np.float32), np.ones((2, 2, 2, 8), np.float32)]
    fake = [real[0] + np.array([1.0, -2.0], np.float32)[:, None, None, None], real[1] + 3.0]
    np.testing.assert_allclose(feature_matching(real, fake), [2.0, 2.5])
    np.testing.assert_array_equal(feature_matching(real, real), [0.0, 0.0])


def test_feature_matching_moves_the_generated_side_only():
    real, fake = tf.zeros((2, 3)), tf.ones((2, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        value = feature_matching([real], [tf.cast(fake, tf.float16)])
    assert value.dtype == tf.float32
    assert tape.gradient(value, real) is None
    np.testing.assert_allclose(tape.gradient(value, fake), np.full((2, 3), 1 / 3), rtol=1e-3)


@pytest.mark.parametrize(("real", "fake"), [([], []), ([REAL], []), ([REAL], [FAKE, FAKE])])
def test_feature_matching_refuses_other_blocks(real, fake):
    with pytest.raises(ValueError, match="the features of the same blocks"):
        feature_matching(real, fake)


def test_features_come_in_the_order_of_the_blocks():
    outputs = {"logits": 0, "probability": 0, **{f"feature_{n}": n for n in (10, 2, 1)}}
    assert features_of(outputs) == [1, 2, 10]
