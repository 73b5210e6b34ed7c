"""What a trained network sees in pictures: the features that realism is judged by."""

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from colorizer.models.efficientnet_lite import HEAD_FILTERS, VARIANTS, build_efficientnet_lite
from colorizer.pretrained.efficientnet_lite_weights import load_imagenet_weights
from pipelines.decoding import resize_bilinear

Tensor = Any

VARIANT = "lite1"


class ImageFeatures:
    """The 1280 pooled features that EfficientNet-Lite1, trained on ImageNet, gives a picture.

    Pictures are squashed to 240x240 (bilinear, antialiased where they shrink, not rounded) and
    scaled by (x - 127) / 128, as the network's authors did. It runs in float32, whatever Keras's
    global policy, and in inference mode.

    Args:
        batch_size: how many pictures go through the network at once; the features do not depend
            on it.

    Attributes:
        name: what the network is called in reports.
        dimensions: numbers in a feature vector.

    Raises:
        ColorizerError: the weights' package is not installed, or its file is damaged.
        ValueError: `batch_size` is under 1.
    """

    name = "EfficientNet-Lite1"
    dimensions = HEAD_FILTERS

    def __init__(self, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.batch_size = batch_size
        network = build_efficientnet_lite(VARIANT, include_top=False, dtype="float32")
        load_imagenet_weights(network, VARIANT)
        signature = [tf.TensorSpec((None, None, None, 3), tf.uint8)]
        self._features = tf.function(partial(_pooled, network), input_signature=signature)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Gives float32 features (N, 1280) of 8-bit sRGB pictures, uint8 (N, H, W, 3).

        Raises:
            TypeError: the pictures are not uint8.
            ValueError: they are not of shape (N, H, W, 3).
        """
        if rgb.dtype != np.uint8:
            raise TypeError(f"pictures must be uint8, not {rgb.dtype}")
        if rgb.ndim != 4 or rgb.shape[-1] != 3:
            raise ValueError(f"pictures must be of shape (N, H, W, 3), not {rgb.shape}")
        features = np.empty((len(rgb), self.dimensions), np.float32)
        for start in range(0, len(rgb), self.batch_size):
            batch = rgb[start : start + self.batch_size]
            features[start : start + len(batch)] = self._features(batch).numpy()
        return features


def _pooled(network: Any, rgb: Tensor) -> Tensor:
    size = VARIANTS[VARIANT].image_size
    resized = tf.ensure_shape(resize_bilinear(rgb, (size, size)), (None, size, size, 3))
    return tf.reduce_mean(network((resized - 127.0) / 128.0, training=False), axis=(1, 2))
