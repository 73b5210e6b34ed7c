"""EfficientNet-Lite 0 to 2: the classifiers whose ImageNet weights see what a photo shows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

Tensor = Any

STEM_FILTERS = 32
HEAD_FILTERS = 1280
CLASSES = 1000
NORM_EPSILON = 1e-3
STRIDES = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Variant:
    """What tells one EfficientNet-Lite from another.

    Attributes:
        width: factor of the blocks' filters.
        depth: factor of the stages' repeats.
        image_size: side of the pictures that its ImageNet weights were trained on.
    """

    width: float
    depth: float
    image_size: int


VARIANTS = {
    "lite0": Variant(width=1.0, depth=1.0, image_size=224),
    "lite1": Variant(width=1.0, depth=1.1, image_size=240),
    "lite2": Variant(width=1.1, depth=1.2, image_size=260),
}


class _Stage(NamedTuple):
    repeats: int
    kernel_size: int
    strides: int
    expansion: int
    filters: int


# Table 1 of the EfficientNet paper, as MnasNet writes it.
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class _Block(NamedTuple):
    """One inverted residual block, as `variant` scales it."""

    name: str
    kernel_size: int
    strides: int
    expansion: int
    filters_in: int
    filters: int

    @property
    def has_shortcut(self) -> bool:
        return self.strides == 1 and self.filters_in == self.filters

    def output(self, folded: bool) -> str:
        """Name of its last layer."""
        if self.has_shortcut:
            return f"{self.name}_add"
        return f"{self.name}_project_{'conv' if folded else 'norm'}"


def build_efficientnet_lite(
    variant: str,
    image_size: int | None = None,
    *,
    include_top: bool = True,
    channels: Literal[1, 3] = 3,
    folded: bool = False,
    norm_momentum: float = 0.99,
    dtype: Any = None,
) -> keras.Model:
    """Builds EfficientNet-Lite0, 1 or 2 as a functional model with random weights.

    EfficientNet (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excitation, with ReLU6
    for swish, and with a stem, a head, a first and a last stage that the factors of width and
    depth leave as they are (the Lite release of the authors, 2020). Dropout and stochastic depth,
    which only its training needs, are left out.
    `colorizer.pretrained.efficientnet_lite_weights` sets the ImageNet weights.

    Layers: `stem_conv`, `stem_norm`, `stem_relu`; for each block N from 0 `block_N_expand_conv`,
    `_norm`, `_relu` (block 0 has none), `block_N_depthwise_conv`, `_norm`, `_relu`,
    `block_N_project_conv`, `_norm`, and `block_N_add` where it has a shortcut; `head_conv`,
    `head_norm`, `head_relu`; with top `pooled` and `logits`. The features at strides 2, 4, 8, 16
    and 32 are the outputs of the layers that `feature_layers` names: for Lite0
    `block_0_project_norm` (16 channels), `block_2_add` (24), `block_4_add` (40), `block_10_add`
    (112) and `block_15_project_norm` (320), for Lite1 and Lite2 those of blocks 0, 3, 6, 14
    and 20 (Lite2: 16, 24, 48, 120, 352 channels).

    With `folded`, batch normalization is part of the convolutions: they have a bias, the layers
    `..._norm` are left out, and what is said of the output of one holds for its convolution.
    `colorizer.pretrained.folding` makes such weights, exactly.

    Args:
        variant: "lite0", "lite1" or "lite2".
        image_size: side S of the square input, at least 32; left out: the variant's own.
        include_top: whether pooling and the classifier of 1000 classes follow the head.
        channels: 1 for gray pictures: the input is `lightness`, (N, S, S, 1) in [-1, 1], and the
            stem has one channel.
        folded: leave batch normalization out.
        norm_momentum: how slowly batch normalization's moving statistics follow.
        dtype: dtype or policy of all layers; left out: Keras's global policy.

    Returns:
        Model from `rgb`, float32 (N, S, S, 3), 8-bit sRGB scaled by (x - 127) / 128, to `logits`,
        float32 (N, 1000); without top to `head_relu` (N, S/32, S/32, 1280) in [0, 6], where S/32
        is rounded up.

    Raises:
        ValueError: `variant` is unknown or `image_size` under 32.
    """
    size = _checked(variant).image_size if image_size is None else image_size
    if size < 32:
        raise ValueError(f"image_size must be at least 32, not {size}")
    layer = _Layers(norm_momentum, dtype, folded)
    name = "lightness" if channels == 1 else "rgb"
    picture = keras.Input((size, size, channels), dtype="float32", name=name)
    x: Tensor = layer.convolution(picture, "stem", STEM_FILTERS, kernel_size=3, strides=2)
    for block in _blocks(variant):
        x = layer.block(x, block)
    x = layer.convolution(x, "head", HEAD_FILTERS)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pooled", dtype=dtype)(x)
        # In float32 whatever the policy: near ties must not be decided by rounding.
        x = layers.Dense(CLASSES, dtype="float32", name="logits")(x)
    return keras.Model(picture, x, name=f"efficientnet_{variant}")


def feature_layers(variant: str, *, folded: bool = False) -> dict[int, str]:
    """Names, for each stride of `STRIDES`, the last layer before the head with that stride.

    Raises:
        ValueError: `variant` is unknown.
    """
    _checked(variant)
    names, stride = {}, 2
    for block in _blocks(variant):
        stride *= block.strides
        names[stride] = block.output(folded)
    return names


@dataclass(frozen=True)
class _Layers:
    """Puts the layers of a network together; every one gets the same dtype."""

    norm_momentum: float
    dtype: Any
    folded: bool

    def block(self, x: Tensor, block: _Block) -> Tensor:
        shortcut = x
        if block.expansion > 1:
            filters = block.expansion * block.filters_in
            x = self.convolution(x, f"{block.name}_expand", filters)
        x = layers.DepthwiseConv2D(
            block.kernel_size,
            strides=block.strides,
            padding="same",
            use_bias=self.folded,
            dtype=self.dtype,
            name=f"{block.name}_depthwise_conv",
        )(x)
        x = self._activated(x, f"{block.name}_depthwise")
        x = self.convolution(x, f"{block.name}_project", block.filters, activated=False)
        if block.has_shortcut:
            x = layers.Add(name=block.output(self.folded), dtype=self.dtype)([x, shortcut])
        return x

    def convolution(
        self,
        x: Tensor,
        name: str,
        filters: int,
        *,
        kernel_size: int = 1,
        strides: int = 1,
        activated: bool = True,
    ) -> Tensor:
        x = layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=self.folded,
            dtype=self.dtype,
            name=f"{name}_conv",
        )(x)
        return self._activated(x, name) if activated else self._normalized(x, name)

    def _activated(self, x: Tensor, name: str) -> Tensor:
        x = self._normalized(x, name)
        return layers.ReLU(6.0, name=f"{name}_relu", dtype=self.dtype)(x)

    def _normalized(self, x: Tensor, name: str) -> Tensor:
        if self.folded:
            return x
        return layers.BatchNormalization(
            momentum=self.norm_momentum,
            epsilon=NORM_EPSILON,
            dtype=self.dtype,
            name=f"{name}_norm",
        )(x)


def _blocks(variant: str) -> Iterator[_Block]:
    scale = _checked(variant)
    number, filters_in = 0, STEM_FILTERS
    for stage in _STAGES:
        filters = _scaled_filters(stage.filters, scale.width)
        outermost = stage in (_STAGES[0], _STAGES[-1])
        repeats = stage.repeats if outermost else math.ceil(scale.depth * stage.repeats)
        for repeat in range(repeats):
            yield _Block(
                f"block_{number}",
                stage.kernel_size,
                stage.strides if repeat == 0 else 1,
                stage.expansion,
                filters_in,
                filters,
            )
            number, filters_in = number + 1, filters


def _scaled_filters(filters: int, width: float) -> int:
    """Rounds filters * width to a multiple of 8, but not down by more than a tenth."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _checked(variant: str) -> Variant:
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant!r}")
    return VARIANTS[variant]
