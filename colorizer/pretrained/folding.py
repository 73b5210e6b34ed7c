"""Batch normalization made part of the convolutions before it: the same function, less work."""

import keras
import numpy as np

from colorizer.models.efficientnet_lite import build_efficientnet_lite
from colorizer.pretrained.efficientnet_lite_weights import load_imagenet_weights


def load_folded_imagenet_weights(network: keras.Model, variant: str) -> None:
    """Sets the encoder's convolutions of a network to EfficientNet-Lite's ImageNet weights.

    The encoder is one of `build_efficientnet_lite` with `folded`, found by the names of its
    layers; the network's other layers are left as they are. In inference mode it then computes
    what the original does: normalization scales and shifts each filter, which kernel and bias can
    do themselves. A stem of one channel gets the sum of the three channels' kernels, which is
    what they come to for a gray picture.

    Args:
        network: holds the encoder's layers.
        variant: "lite0", "lite1" or "lite2".

    Raises:
        ColorizerError: the weights' package is not installed, or its file is damaged.
        ValueError: `variant` is unknown, or the network has no such encoder.
    """
    original = build_efficientnet_lite(variant, include_top=False, dtype="float32")
    load_imagenet_weights(original, variant)
    known = {layer.name: layer for layer in original.layers}
    found = [layer for layer in network.layers if layer.name in known and layer.weights]
    if not found:
        raise ValueError(f"{network.name} has no encoder of EfficientNet-{variant.capitalize()}")
    for layer in found:
        norm = known[f"{layer.name.removesuffix('_conv')}_norm"]
        kernel, bias = _folded(known[layer.name].kernel, norm)
        if layer.kernel.shape[2] == 1 and layer.name == "stem_conv":
            kernel = kernel.sum(axis=2, keepdims=True)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)


def _folded(
    kernel: keras.Variable, norm: keras.layers.BatchNormalization
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel and bias of a convolution with the normalization after it in inference mode."""
    gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in norm.weights)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    original = np.asarray(kernel, np.float64)
    # A depthwise kernel has its filters on the third axis.
    shape = (-1, 1) if original.shape[-1] == 1 else (-1,)
    return original * scale.reshape(shape), beta - mean * scale
