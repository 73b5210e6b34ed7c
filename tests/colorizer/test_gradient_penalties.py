import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from colorizer.models.dcgan import build_dcgan_discriminator
from colorizer.models.discriminator import discriminator_inputs, discriminator_model
from colorizer.models.patchgan import build_patchgan_discriminator
from colorizer.training.gradient_penalties import gradient_penalty, r1_penalty
from colorizer.training.precision import dtype_policy

SIZE = 8


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    lightness = rng.uniform(-1, 1, (3, SIZE, SIZE, 1)).astype(np.float32)
    real, fake = rng.uniform(-0.5, 0.5, (2, 3, SIZE, SIZE, 2)).astype(np.float32)
    return lightness, real, fake


def linear_discriminator(weight_ab: float, weight_lightness: float = 5.0) -> keras.Model:
    """Its score is a weighted sum over the photo, so that its slope over ab is known."""
    inputs, picture = discriminator_inputs(SIZE)
    score = layers.Conv2D(1, SIZE, use_bias=False, name="score")(picture)
    logits = layers.Flatten(name="logits", dtype="float32")(score)
    model = discriminator_model(inputs, [], logits, "linear")
    kernel = np.full((SIZE, SIZE, 3, 1), weight_ab, np.float32)
    kernel[:, :, 0] = weight_lightness
    model.get_layer("score").kernel.assign(kernel)
    return model


def seed() -> keras.random.SeedGenerator:
    return keras.random.SeedGenerator(3)


def patchgan(**arguments: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    arguments = {"normalization": "none", **arguments}
    model = build_patchgan_discriminator(SIZE, filters=(8, 8), **arguments)
    for weight in model.trainable_weights:
        weight.assign(10.0 * weight)
    return model


@pytest.mark.parametrize("weight", [0.0, 0.01, 0.3])
def test_linear_score_has_its_closed_form(weight, photos):
    lightness, real, fake = photos
    norm = weight * np.sqrt(2 * SIZE * SIZE)
    model = linear_discriminator(weight)
    assert float(r1_penalty(model, lightness, real)) == pytest.approx(norm**2, rel=1e-5)
    penalty = gradient_penalty(model, lightness, real, fake, seed())
    assert float(penalty) == pytest.approx((norm - 1) ** 2, rel=1e-4)
    assert penalty.dtype == tf.float32 and penalty.shape == ()


def test_slope_is_that_of_finite_differences(photos):
    lightness, real, _ = (tf.constant(part[:1], tf.float32) for part in photos)
    model = patchgan()

    def score(ab: tf.Tensor) -> float:
        return float(tf.reduce_mean(model({"lightness": lightness, "ab": ab})["logits"]))

    squared, step = 0.0, 1e-2
    for place in np.ndindex(*real.shape[1:]):
        move = np.zeros(real.shape, np.float32)
        move[(0, *place)] = step
        squared += ((score(real + move) - score(real - move)) / (2 * step)) ** 2
    assert float(r1_penalty(model, lightness, real)) == pytest.approx(squared, rel=0.02)


@pytest.mark.parametrize("spectral", [False, True])
def test_gradient_with_respect_to_the_weights_is_that_of_finite_differences(spectral, photos):
    model = patchgan(spectral_normalization=spectral)
    lightness, real, fake = photos

    def penalty() -> tf.Tensor:
        return 10.0 * gradient_penalty(model, lightness, real, fake, seed())

    with tf.GradientTape() as tape:
        value = penalty()
    kernel = model.get_layer("block_2").kernel
    gradient = tape.gradient(value, kernel.value).numpy()
    start = kernel.numpy()
    # Along the gradient itself, where the rounding of float32 matters least.
    way, step = gradient / np.linalg.norm(gradient), 1e-2
    values = []
    for sign in (1, -1):
        kernel.assign(start + sign * step * way)
        values.append(float(penalty()))
    expected = np.linalg.norm(gradient)
    tolerance = 0.1 if spectral else 0.02
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=tolerance)


def test_lightness_has_no_part_in_the_slope(photos):
    lightness, real, _ = photos
    values = [float(r1_penalty(linear_discriminator(0.1, w), lightness, real)) for w in (0, 50)]
    assert values[0] == values[1]


def test_each_photo_lies_at_its_own_place_between_real_and_fake():
    """With a score of |ab|^2 / 2 the slope is ab itself, so that the penalty tells the place."""
    inputs, picture = discriminator_inputs(SIZE)
    norm = layers.Lambda(lambda x: 0.5 * keras.ops.sum(x[..., 1:] ** 2, axis=(1, 2)), name="norm")
    logits = layers.Activation("linear", name="logits")(norm(picture))
    summed = layers.Lambda(lambda x: keras.ops.sum(x, axis=1, keepdims=True), name="sum")(logits)
    model = discriminator_model(inputs, [], summed, "half_square")
    photos = 64
    lightness = np.zeros((photos, SIZE, SIZE, 1), np.float32)
    # |ab| is 3 in real photos and 1 in generated ones: the norm less 1 is twice the place.
    size = 1 / np.sqrt(2 * SIZE * SIZE)
    fake = np.full((photos, SIZE, SIZE, 2), size, np.float32)
    places = keras.random.uniform((photos, 1, 1, 1), seed=seed())
    penalty = gradient_penalty(model, lightness, 3 * fake, fake, seed())
    assert float(penalty) == pytest.approx(float(np.mean(np.square(2 * places))), rel=1e-4)
    assert 0.8 < float(penalty) < 2.0


def test_no_gradient_reaches_the_generator(photos):
    lightness, real, fake = photos
    fake = tf.constant(fake)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        penalty = gradient_penalty(patchgan(), lightness, real, fake, seed())
    assert tape.gradient(penalty, fake) is None


def test_penalty_s_gradient_is_finite_without_a_slope(photos):
    lightness, real, fake = photos
    model = linear_discriminator(0.0)
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(model, lightness, real, fake, seed())
    assert np.isfinite(tape.gradient(penalty, model.trainable_weights[0].value)).all()


def test_penalties_leave_the_power_iteration_alone(photos):
    lightness, real, fake = photos
    model = patchgan(spectral_normalization=True)
    before = [weight.copy() for weight in model.get_weights()]
    r1_penalty(model, lightness, real)
    gradient_penalty(model, lightness, real, fake, seed())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("shrunk", [1.0, 0.05], ids=["slope about 1", "tiny slope"])
def test_half_precision_is_close_to_float32(policy, shrunk, photos):
    lightness, real, _ = photos
    full = patchgan(attention=True)
    for weight in full.trainable_weights:
        weight.assign(shrunk * weight)
    with dtype_policy(policy):
        half = patchgan(attention=True)
    half.set_weights(full.get_weights())

    def penalty_and_gradient(model: keras.Model) -> tuple[float, np.ndarray]:
        with tf.GradientTape() as tape:
            penalty = r1_penalty(model, lightness, real)
            # As a loss scale would, and out again in float32.
            scaled = 2.0**15 * penalty
        gradient = tape.gradient(scaled, model.get_layer("block_2").kernel.value)
        return float(penalty), gradient.numpy() / 2.0**15

    (expected, direction), (value, gradient) = map(penalty_and_gradient, (full, half))
    assert value == pytest.approx(expected, rel=0.05) and expected > 0
    cosine = np.sum(gradient * direction)
    cosine /= np.linalg.norm(gradient) * np.linalg.norm(direction)
    assert cosine > 0.98
    assert np.linalg.norm(gradient) == pytest.approx(np.linalg.norm(direction), rel=0.1)


@pytest.mark.parametrize("normalization", ["instance", "layer"])
def test_works_with_normalization_by_photo_in_a_graph(normalization, photos):
    lightness, real, fake = photos
    model = patchgan(normalization=normalization)
    generator = seed()

    @tf.function
    def step() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            penalty = gradient_penalty(model, lightness, real, fake, generator)
        return penalty, tape.gradient(penalty, [model.get_layer("block_2").kernel.value])

    first, second = step(), step()
    assert np.isfinite(first[0]) and np.abs(first[1][0]).max() > 0
    # New places at each step, and the same ones from the same seed.
    assert float(first[0]) != float(second[0])
    again = gradient_penalty(model, lightness, real, fake, seed())
    assert float(again) == pytest.approx(float(first[0]), rel=1e-4)


def test_batch_normalization_is_refused(photos):
    lightness, real, fake = (np.zeros((1, 32, 32, n), np.float32) for n in (1, 2, 2))
    model = build_dcgan_discriminator(32, filters=(4, 4, 4))
    with pytest.raises(ValueError, match=r"normalizes over the batch \(block_1_norm\)"):
        r1_penalty(model, lightness, real)
    wrapped = keras.Model(model.input, model(model.input), name="wrapped")
    with pytest.raises(ValueError, match="dcgan_discriminator normalizes over the batch"):
        gradient_penalty(wrapped, lightness, real, fake, seed())
