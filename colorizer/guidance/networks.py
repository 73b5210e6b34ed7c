"""Networks in use, and how each can be asked for other colours than its usual ones."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from colorizer.ab_classes import CENTERS, rebalancing
from colorizer.guidance.palette import Palette, prior_swap, transferred
from colorizer.guidance.sampling import STRENGTH, Waves, draw_waves, field
from colorizer.models.dcgan import LatentNoise, split_dcgan_generator
from colorizer.models.lite_unet import up_to_logits
from colorizer.runtimes import Predict, compile_network, with_constants
from colorizer.styles import DEFAULT_STYLE, STYLES, in_styles, one_style_only
from pipelines.decoding import resize_bilinear
from pipelines.errors import UsageError

Tensor = Any


class Wish(NamedTuple):
    """Which of a network's answers is wanted; None: the usual one.

    Attributes:
        style: one of its styles.
        palette: of a reference photo.
        seed: of a sample.
    """

    style: str | None = None
    palette: Palette | None = None
    seed: int | None = None

    def over(self, other: "Wish") -> "Wish":
        """Gives this wish, and the other one's where this leaves something open."""
        said = {name: own for name, own in self._asdict().items() if own is not None}
        return other._replace(**said)

    @property
    def settings(self) -> dict[str, str]:
        """What a picture says of it (`colorizer.images.provenance`)."""
        said = {"style": self.style, "seed": self.seed}
        told = {name: str(value) for name, value in said.items() if value is not None}
        return told if self.palette is None else {**told, "palette": "of another photo"}


USUAL = Wish()


class Network:
    """A network of which nothing is known but its answer: it takes palettes alone.

    Args:
        predict: lightness float32 (N, S, S, 1) to ab float32 (N, S, S, 2), each in [-1, 1].
        title: what errors call it.
    """

    styles: tuple[str, ...] = ()

    def __init__(self, predict: Predict, title: str) -> None:
        self._predict = predict
        self._title = title

    def answering(self, wish: Wish) -> Predict:
        """Gives the function of its answers to `wish`.

        Raises:
            UsageError: it does not know the style, or does not sample.
        """
        if wish.style is not None:
            raise one_style_only(wish.style, self._title)
        predict = self._predict if wish.seed is None else self._sampling(wish.seed)
        if (palette := wish.palette) is None:
            return predict
        return lambda lightness: transferred(np.asarray(predict(lightness)), palette)

    def _sampling(self, seed: int) -> Predict:
        raise UsageError(
            f"--seed {seed}: {self._title} does not sample: that do runs of dcgan and of "
            "lite with classes, and the weights that ship with the package, but no exports"
        )


class LatentNetwork(Network):
    """The DCGAN, which samples by the noise that it learned with.

    Args:
        model: a DCGAN generator.
        size: S, in pixels.
        title: what errors call it.
    """

    def __init__(self, model: keras.Model, size: int, title: str) -> None:
        super().__init__(compile_network(model, size), title)
        processor, grower = split_dcgan_generator(model)
        self._stddev = model.get_layer("latent").stddev
        self._noise_shape = (1, *processor.output_shape[1:])

        @tf.function(
            autograph=False, input_signature=[_seen(size), tf.TensorSpec(self._noise_shape)]
        )
        def grown(lightness: Tensor, noise: Tensor) -> Tensor:
            return grower(processor(lightness, training=False) + noise, training=False)

        self._grown = grown

    def _sampling(self, seed: int) -> Predict:
        noise = self._stddev * np.random.default_rng(seed).standard_normal(self._noise_shape)
        return lambda lightness: self._grown(lightness, noise.astype(np.float32)).numpy()


class ClassNetwork(Network):
    """A network of colour classes, whose probabilities can be read in many ways.

    Args:
        model: with logits of the classes.
        styled: it in each of its styles, as `in_styles` gives it.
        shares: of the classes in its training photos, (CLASSES,).
        size: S, in pixels.
        title: what errors call it.
    """

    def __init__(
        self,
        model: keras.Model,
        styled: Mapping[str, keras.Model],
        shares: Sequence[float],
        size: int,
        title: str,
    ) -> None:
        self._styled = {name: compile_network(network, size) for name, network in styled.items()}
        super().__init__(self._styled[DEFAULT_STYLE], title)
        self.styles = tuple(styled)
        self._shares = np.asarray(shares, np.float64)
        self._model, self._size = model, size

    @cached_property
    def _read(self) -> Callable[..., Any]:
        return _reader(self._model, self._size)

    def answering(self, wish: Wish) -> Predict:
        """See `Network.answering`."""
        name = wish.style or DEFAULT_STYLE
        if name not in self.styles:
            raise one_style_only(name, self._title)
        if wish.palette is None and wish.seed is None:
            return self._styled[name]
        style = STYLES[name]
        if wish.palette is None:
            offsets = rebalancing(self._shares.tolist(), style.rebalancing)
        else:
            # It takes the training's shares out altogether; the style need not.
            offsets = prior_swap(self._shares, wish.palette)
        strength = 0.0 if wish.seed is None else STRENGTH
        waves = draw_waves(wish.seed or 0)
        how = (
            np.float32(style.temperature),
            np.array(offsets, np.float32),
            np.float32(strength),
            *waves,
        )
        return lambda lightness: self._read(lightness, *how).numpy()


def network_in_use(
    model: keras.Model, statistics: Mapping[str, Any], size: int, title: str
) -> Network:
    """Finds out what a Keras network can do.

    Args:
        model: from lightness (N, S, S, 1) to ab (N, S, S, 2).
        statistics: of its run.
        size: S, in pixels.
        title: what errors call it.
    """
    if styled := in_styles(model, statistics):
        return ClassNetwork(model, styled, statistics["class_shares"], size, title)
    if any(isinstance(layer, LatentNoise) for layer in model.layers):
        return LatentNetwork(model, size, title)
    return Network(compile_network(model, size), title)


def _seen(size: int) -> tf.TensorSpec:
    return tf.TensorSpec([None, size, size, 1], tf.float32)


def _reader(model: keras.Model, size: int) -> Callable[..., Any]:
    """Gives a function of lightness, temperature, offsets, strength of the noise, and waves.

    One for all styles, palettes and samples: a Keras model for each would be compiled anew.
    """
    logits_of = with_constants(up_to_logits(model))
    enlarged = model.get_layer("ab")
    scalar = tf.TensorSpec([], tf.float32)
    waves = [tf.TensorSpec(part.shape, tf.float32) for part in draw_waves(0)]

    @tf.function(
        autograph=False,
        input_signature=[_seen(size), scalar, tf.TensorSpec([len(CENTERS)]), scalar, *waves],
    )
    def read(
        lightness: Tensor, temperature: Tensor, offsets: Tensor, strength: Tensor, *parts: Tensor
    ) -> Tensor:
        logits = logits_of(lightness)
        small = resize_bilinear(lightness, tf.shape(logits)[1:3])
        noise = tf.cond(
            strength > 0,
            lambda: strength * field(small, Waves(*parts)),
            lambda: tf.zeros_like(logits),
        )
        probabilities = tf.nn.softmax((logits + offsets) / temperature + noise)
        return enlarged(tf.matmul(probabilities, tf.constant(CENTERS)))

    return read
