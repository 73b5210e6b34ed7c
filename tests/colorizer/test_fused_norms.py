"""Batch normalization as one operation: the same function as Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer import models
from colorizer.training.fused_norms import FusedBatchNormalization, with_fused_norms
from colorizer.training.precision import dtype_policy

# Relative to the largest value: a rounding of the precision, times what sums add to it.
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}


def step(layer: keras.layers.BatchNormalization, inputs: tf.Tensor) -> list[np.ndarray]:
    """Outputs, gradients and moving statistics of one training call."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        # Not the sum, whose gradient through batch normalization is zero.
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
    assert outputs.dtype == layer.compute_dtype
    gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    found = [outputs, *gradients, layer.moving_mean.value, layer.moving_variance.value]
    return [tf.cast(value, tf.float32).numpy() for value in found]


@pytest.mark.parametrize("precision", TOLERANCE)
def test_a_training_step_is_that_of_keras(precision):
    random = np.random.default_rng(0)
    values = 3.0 * random.normal(size=(4, 5, 6, 7)).astype(np.float32) + 2.0
    inputs = tf.cast(values, keras.DTypePolicy(precision).compute_dtype)
    found = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.9, dtype=precision)
        layer.build(inputs.shape)
        layer.gamma.assign(np.linspace(0.5, 2.0, 7))
        layer.beta.assign(np.linspace(-1.0, 1.0, 7))
        found.append(step(layer, inputs))
    for theirs, ours in zip(*found, strict=True):
        assert np.abs(ours - theirs).max() <= TOLERANCE[precision] * np.abs(theirs).max()


@pytest.mark.parametrize("arguments", [{"axis": 1}, {"scale": False}, {"center": False}])
def test_what_the_operation_cannot_do_the_parent_does(arguments):
    inputs = np.random.default_rng(0).normal(size=(4, 5, 6, 7)).astype(np.float32)
    theirs = keras.layers.BatchNormalization(**arguments)(inputs, training=True)
    ours = FusedBatchNormalization(**arguments)(inputs, training=True)
    np.testing.assert_array_equal(ours, theirs)


def test_frozen_norms_use_their_moving_statistics():
    inputs = np.full((2, 4, 4, 3), 5.0, np.float32)
    layer = FusedBatchNormalization(trainable=False)
    np.testing.assert_allclose(layer(inputs, training=True), inputs, rtol=1e-3)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), 0.0)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_network_keeps_weights_precision_and_function(precision):
    with dtype_policy(precision):
        network = models.build(
            "unet", image_size=64, filters=(4, 8), decoder_filters=(8,), blocks=(0, 1)
        )
    fused = with_fused_norms(network)
    kinds = [type(layer).__name__ for layer in fused.layers]
    assert "FusedBatchNormalization" in kinds and "BatchNormalization" not in kinds
    for ours, theirs in zip(fused.weights, network.weights, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    lightness = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 1)).astype(np.float32)
    np.testing.assert_array_equal(fused(lightness), network(lightness))
    np.testing.assert_allclose(
        fused(lightness, training=True), network(lightness, training=True), atol=2e-2
    )


def test_what_is_built_next_has_the_weights_that_it_would_have_had():
    kernels = []
    for copies in (False, True):
        keras.utils.set_random_seed(1)
        network = models.build("cnn", image_size=32, encoder_filters=(2, 2, 2, 2, 2))
        if copies:
            with_fused_norms(network)
        kernels.append(models.build_discriminator("patch", image_size=32, filters=(2, 2)).weights)
    for without, after in zip(*kernels, strict=True):
        np.testing.assert_array_equal(without, after)
