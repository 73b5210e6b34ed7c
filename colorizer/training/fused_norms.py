"""Batch normalization as one operation, for training: three times as fast on a CPU."""

import random
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


def with_fused_norms(network: keras.Model) -> keras.Model:
    """Gives a copy of the network with `FusedBatchNormalization` in place of Keras's.

    Its weights are in the same order. What is saved is built anew without it, so that a saved
    network needs nothing but Keras.
    """

    def fused(layer: keras.Layer) -> keras.Layer:
        plain = type(layer) is keras.layers.BatchNormalization
        kind = FusedBatchNormalization if plain else type(layer)
        return kind.from_config(layer.get_config())

    # A copy draws seeds for weights that are overwritten at once. What is built next shall have the
    # seeds that it would have had without it, so that several devices begin as one does.
    state = random.getstate()
    clone = keras.models.clone_model(network, clone_function=fused)
    random.setstate(state)
    clone.set_weights(network.get_weights())
    return clone


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization whose training step is TensorFlow's FusedBatchNormV3.

    The same function as its parent's, which adds up moments and an affine map from a dozen
    operations, each a pass over the activations; half precision goes in and comes out, the
    statistics are float32 all the same. What the fused operation cannot do (other axes or ranks,
    masks, statistics over several replicas) the parent does.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        """Gives the normalized inputs; while training, moves the moving statistics."""
        plain = self.renorm or self.synchronized or mask is not None or len(inputs.shape) != 4
        last = self.axis in (-1, 3)
        if plain or not (training and self.trainable and last and self.scale and self.center):
            return super().call(inputs, training=training, mask=mask)
        inputs = tf.cast(inputs, self.compute_dtype)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        # The operation gives the unbiased variance, the parent keeps the biased one.
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance * (count - 1.0) / count)
        return outputs

    def _follow(self, moving: keras.Variable, seen: Tensor) -> None:
        moving.assign(moving * self.momentum + seen * (1.0 - self.momentum))
