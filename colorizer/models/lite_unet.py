"""A U-Net on an encoder that has learned to see on ImageNet: transfer learning for colour."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from colorizer.ab_classes import CLASSES, AnnealedMean
from colorizer.models.attention import SelfAttention2D
from colorizer.models.efficientnet_lite import build_efficientnet_lite, feature_layers

Tensor = Any

# Strides of the encoder's features, from the deepest; ab is predicted at the last one.
_STRIDES = (32, 16, 8, 4)
LOGITS = "class_logits"
LOGITS_STRIDE = _STRIDES[-1]


def build_lite_unet(
    image_size: int = 256,
    *,
    variant: str = "lite0",
    decoder_filters: Sequence[int] = (192, 128, 80, 64),
    head: Literal["regression", "classes"] = "regression",
    attention: bool = False,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds a U-Net whose encoder is EfficientNet-Lite, with random weights.

    The encoder (`colorizer.models.efficientnet_lite`, one channel, batch normalization folded)
    reads L in place of a gray picture's pixels; `load_folded_imagenet_weights` sets its ImageNet
    weights. The decoder: a 1x1 convolution at stride 32; then up to strides 16, 8 and 4, each time
    nearest upsampling, the encoder's features beside it, and a 3x3 convolution, with batch
    normalization and ReLU. ab is predicted at a quarter of the picture's side, which bounds PSNR
    at 43 dB (mean of our validation photos), and enlarged bilinearly; L keeps its full size.

    Heads: "regression" gives ab by a tanh; "classes" (Zhang et al. 2016) gives the logits of
    colour classes at a layer named `LOGITS`, whose mean is ab; see `with_annealed_mean`.

    Args:
        image_size: side S of the square input and output, a multiple of 32.
        variant: of EfficientNet-Lite: "lite0", "lite1" or "lite2".
        decoder_filters: filters of the decoder at strides 32, 16, 8 and 4.
        head: "regression" or "classes".
        attention: whether self-attention (Zhang et al. 2019) stands at stride 16 in the decoder.
        norm_momentum: how slowly the decoder's batch normalization follows.

    Returns:
        Model from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2), float32, each in [-1, 1].

    Raises:
        ValueError: `variant` or `head` is unknown, `image_size` is no multiple of 32, or there
            are not 4 `decoder_filters`.
    """
    _check(image_size, decoder_filters, head)
    encoder = build_efficientnet_lite(
        variant, image_size, include_top=False, channels=1, folded=True
    )
    names = feature_layers(variant, folded=True)
    features = {stride: encoder.get_layer(names[stride]).output for stride in _STRIDES}
    x: Tensor = features[_STRIDES[0]]
    x = _convolution(x, decoder_filters[0], 1, f"decoder_{_STRIDES[0]}", norm_momentum)
    for stride, filters in zip(_STRIDES[1:], decoder_filters[1:], strict=True):
        x = layers.UpSampling2D(name=f"decoder_{stride}_up")(x)
        x = layers.Concatenate(name=f"decoder_{stride}_with_skip")([x, features[stride]])
        x = _convolution(x, filters, 3, f"decoder_{stride}", norm_momentum)
        if attention and stride == 16:
            x = SelfAttention2D(name="attention")(x)
    if head == "classes":
        # In float32 whatever the precision policy, as all that follows.
        x = layers.Conv2D(CLASSES, 1, dtype="float32", name=LOGITS)(x)
        small = AnnealedMean(name="ab_small")(x)
    else:
        x = layers.Conv2D(2, 3, padding="same", name="ab_small_linear")(x)
        small = layers.Activation("tanh", dtype="float32", name="ab_small")(x)
    ab = layers.UpSampling2D(_STRIDES[-1], interpolation="bilinear", dtype="float32", name="ab")(
        small
    )
    return keras.Model(encoder.input, ab, name="lite_unet")


def predicts_classes(network: keras.Model) -> bool:
    """Whether a network gives each class of colours a probability (`head` "classes")."""
    return any(layer.name == LOGITS for layer in network.layers)


def up_to_logits(network: keras.Model) -> keras.Model:
    """Gives the part of a network of classes up to its logits; both share all weights."""
    return keras.Model(network.input, network.get_layer(LOGITS).output, name="class_predictor")


def with_annealed_mean(
    network: keras.Model, temperature: float, offsets: Sequence[float] | None = None
) -> keras.Model:
    """Gives the network of classes with another `AnnealedMean`; both share all weights.

    Raises:
        ValueError: `temperature` is not above 0, or the network predicts no classes.
    """
    if not predicts_classes(network):
        raise ValueError(f"{network.name} predicts no classes: it has no layer {LOGITS}")
    logits = network.get_layer(LOGITS).output
    small = AnnealedMean(temperature, offsets, name="ab_small")(logits)
    return keras.Model(network.input, network.get_layer("ab")(small), name=network.name)


def is_of_encoder(layer: keras.Layer) -> bool:
    """Whether a layer of the network belongs to the encoder."""
    return layer.name.startswith(("stem_", "block_"))


def freeze_encoder(network: keras.Model, blocks: int) -> None:
    """Makes the stem and the first `blocks` blocks of the encoder keep their weights."""
    frozen = ("stem_", *(f"block_{number}_" for number in range(blocks)))
    for layer in network.layers:
        if layer.name.startswith(frozen):
            layer.trainable = False


def _convolution(x: Tensor, filters: int, size: int, name: str, norm_momentum: float) -> Tensor:
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _check(image_size: int, decoder_filters: Sequence[int], head: str) -> None:
    if image_size % 32 or image_size < 32:
        raise ValueError(f"image_size must be a multiple of 32, not {image_size}")
    if len(decoder_filters) != len(_STRIDES):
        raise ValueError(
            f"decoder_filters must have {len(_STRIDES)} entries, not {len(decoder_filters)}"
        )
    if head not in ("regression", "classes"):
        raise ValueError(f"head must be regression or classes, not {head!r}")
