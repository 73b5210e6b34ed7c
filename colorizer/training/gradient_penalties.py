"""Penalties on a discriminator's slope with respect to ab: R1 and WGAN-GP's.

They take gradients inside the trainer's own tape, which `keras.ops` has no word for, so they are
TensorFlow's. The lightness is the condition that both sides share, so the slope is that over ab
alone. A photo's score is the mean of its logits, as in the losses.

In float16 the slope would vanish: it is spread over all pixels (a slope of norm 1 at 256x256 is
about 0.003 a value, and hidden layers pass on less), and 6e-8 is the smallest number. So the
gradient is taken of `_SCALE` times the score and divided again in float32; a power of two, it
changes no digit in other precisions. The penalty's own gradient passes through float16 as well:
scale the loss that it is a part of, as for any other loss.
"""

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

_SCALE = 1024.0
# Under the root: the norm has no gradient at 0.
_TINY = 1e-12


def r1_penalty(discriminator: keras.Model, lightness: Tensor, ab: Tensor) -> Tensor:
    """Gives E[|grad_ab score(L, ab)|^2] over real photos (Mescheder et al. 2018), float32 scalar.

    The paper's loss adds gamma / 2 times this.

    Args:
        discriminator: from {"lightness", "ab"} to a dictionary with "logits".
        lightness: (N, S, S, 1).
        ab: ab of the originals, (N, S, S, 2).

    Raises:
        ValueError: the discriminator normalizes over the batch.
    """
    return tf.reduce_mean(_squared_slope(discriminator, lightness, ab))


def gradient_penalty(
    discriminator: keras.Model,
    lightness: Tensor,
    real_ab: Tensor,
    fake_ab: Tensor,
    seed_generator: keras.random.SeedGenerator,
) -> Tensor:
    """Gives E[(|grad_ab score(L, ab)| - 1)^2] (WGAN-GP, Gulrajani et al. 2017), float32 scalar.

    ab lies, uniformly at random for each photo, between the original's and the generated one. The
    paper's loss adds 10 times this. No gradient flows to the generator.

    Args:
        discriminator: from {"lightness", "ab"} to a dictionary with "logits".
        lightness: (N, S, S, 1).
        real_ab: ab of the originals, (N, S, S, 2).
        fake_ab: ab generated from the same lightness.
        seed_generator: where the random places come from.

    Raises:
        ValueError: the discriminator normalizes over the batch.
    """
    real, fake = tf.cast(real_ab, tf.float32), tf.stop_gradient(tf.cast(fake_ab, tf.float32))
    place = keras.random.uniform((tf.shape(real)[0], 1, 1, 1), seed=seed_generator)
    squared = _squared_slope(discriminator, lightness, fake + place * (real - fake))
    return tf.reduce_mean(tf.square(tf.sqrt(squared + _TINY) - 1.0))


def _squared_slope(discriminator: keras.Model, lightness: Tensor, ab: Tensor) -> Tensor:
    """|grad_ab score|^2 of each photo, (N,) float32."""
    _refuse_batch_normalization(discriminator)
    lightness = tf.cast(lightness, tf.float32)
    ab = tf.stop_gradient(tf.cast(ab, tf.float32))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(ab)
        # Not as in training: spectral normalization shall move on once a step, not here as well.
        logits = discriminator({"lightness": lightness, "ab": ab}, training=False)["logits"]
        score = tf.reduce_mean(logits, axis=range(1, len(logits.shape)))
        scaled = _SCALE * tf.reduce_sum(score)
    slope = tf.cast(tape.gradient(scaled, ab), tf.float32) / _SCALE
    return tf.reduce_sum(tf.square(slope), axis=(1, 2, 3))


def _refuse_batch_normalization(discriminator: keras.Model) -> None:
    for layer in discriminator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError(
                f"{discriminator.name} normalizes over the batch ({layer.name}): then a photo's "
                "score depends on the others, and its slope is not its own; use another "
                "normalization"
            )
        if isinstance(layer, keras.Model):
            _refuse_batch_normalization(layer)
