"""The report's second model: a DCGAN (Radford et al. 2016) that reads L and predicts ab."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import initializers, layers, ops

from colorizer.models.discriminator import discriminator_inputs, discriminator_model

Tensor = Any

KERNEL_SIZE = 4
LEAKY_SLOPE = 0.2
INITIAL_STDDEV = 0.02
_MIN_FILTERS, _MAX_FILTERS = 16, 512


@keras.saving.register_keras_serializable(package="colorizer")
class LatentNoise(layers.Layer):
    """Adds Gaussian noise to the latent vector: z = L_transformed + noise.

    Noise is drawn while training. Otherwise its mean, zero, stands for it, so that a photo is
    coloured alike each time; to draw many colourings of one photo, see `split_dcgan_generator`,
    or ask for `noise_at_inference`. It is computed in float32.

    Args:
        stddev: standard deviation of the noise, not negative.
        noise_at_inference: draw noise outside training as well.
        seed: seed of the noise, or None for one of Keras's global seed.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: `stddev` is negative.
    """

    def __init__(
        self,
        stddev: float = 1.0,
        *,
        noise_at_inference: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if stddev < 0:
            raise ValueError(f"stddev must not be negative, not {stddev}")
        self.stddev = stddev
        self.noise_at_inference = noise_at_inference
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Gives `inputs`, with noise added where it is due; same shape."""
        if not (training or self.noise_at_inference):
            return inputs
        shape = ops.shape(inputs)
        noise = keras.random.normal(shape, dtype=inputs.dtype, seed=self.seed_generator)
        return inputs + self.stddev * noise

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "stddev": self.stddev,
            "noise_at_inference": self.noise_at_inference,
            "seed": self.seed,
        }


def build_dcgan_generator(
    image_size: int = 256,
    *,
    latent_size: int = 100,
    processor_filters: Sequence[int] | None = None,
    filters: Sequence[int] | None = None,
    noise_stddev: float = 1.0,
    noise_at_inference: bool = False,
    noise_seed: int | None = None,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds the report's generator as a functional model.

    The processor takes L to 1 x 1 x `latent_size`: convolutions of stride 2, batch normalization,
    Leaky ReLU, down to 4x4; then one convolution over all that is left. Noise is added
    (`LatentNoise`, named `latent`). The grower is DCGAN's: transposed convolutions to 4x4, 8x8,
    ..., S, batch normalization after each but the last and ReLU between, tanh at the output. There
    is no dense layer. All kernels are 4x4, weights start from N(0, 0.02).

    All that the grower learns of the photo are `latent_size` numbers. They can carry what kind of
    scene it is and its larger patches of colour, not where an edge runs.

    The report gives neither the processor's layers nor filter counts. The default filters halve
    from level to level up to 16 at half the image's size, at most 512, and the processor mirrors
    them: so each level costs about the same, 34 million multiply-adds.

    Args:
        image_size: side S of the square input and output: a power of two, at least 32.
        latent_size: length of the latent vector.
        processor_filters: filters of the processor's strided convolutions, one each for
            S/2, S/4, ..., 4; None for the rule above.
        filters: filters of the grower's transposed convolutions but the last, one each for
            4, 8, ..., S/2; None for the rule above.
        noise_stddev: standard deviation of the noise.
        noise_at_inference: draw noise outside training as well.
        noise_seed: seed of the noise, or None for one of Keras's global seed.
        norm_momentum: how slowly batch normalization's moving statistics follow.

    Returns:
        Model from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2), float32, each in [-1, 1].

    Raises:
        ValueError: `image_size` is no power of two or under 32, `noise_stddev` is negative, or
            there are filters for another number of levels.
    """
    halving = _filters_by_rule(image_size)
    filters = _checked("filters", filters, halving)
    processor_filters = _checked("processor_filters", processor_filters, halving[::-1])
    lightness = keras.Input((image_size, image_size, 1), name="lightness")
    x: Tensor = lightness
    for number, count in enumerate(processor_filters, start=1):
        x = _shrinking(x, count, f"processor_{number}", norm_momentum)
    x = layers.Conv2D(
        latent_size, KERNEL_SIZE, kernel_initializer=_normal(), name="processor_vector"
    )(x)
    x = LatentNoise(
        noise_stddev, noise_at_inference=noise_at_inference, seed=noise_seed, name="latent"
    )(x)
    for number, count in enumerate(filters, start=1):
        x = _growing(x, count, f"grower_{number}", norm_momentum, from_vector=number == 1)
    x = _transposed(2, "grower_ab")(x)
    # tanh in float32 whatever the precision policy: the loss must not see rounded colours.
    ab = layers.Activation("tanh", dtype="float32", name="ab")(x)
    return keras.Model(lightness, ab, name="dcgan")


def split_dcgan_generator(generator: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Splits the generator at its noise, so that the caller can add noise of their own.

    `grower(processor(lightness) + noise)` is a colouring at that noise. Both models hold the
    generator's own layers; what one learns, the other has learned.

    Returns:
        The processor, from `lightness` (N, S, S, 1) to L_transformed (N, 1, 1, latent_size), and
        the grower, from z (N, 1, 1, latent_size) to `ab` (N, S, S, 2).

    Raises:
        ValueError: the model has no layer `latent` that adds noise.
    """
    latent = next((layer for layer in generator.layers if layer.name == "latent"), None)
    if not isinstance(latent, LatentNoise):
        raise ValueError(f"{generator.name} is no DCGAN generator: it has no noise at 'latent'")
    processor = keras.Model(generator.input, latent.input, name="processor")
    grower = keras.Model(latent.output, generator.output, name="grower")
    return processor, grower


def build_dcgan_discriminator(
    image_size: int = 256,
    *,
    filters: Sequence[int] | None = None,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Builds the report's discriminator as a functional model.

    Convolutions of stride 2 down to 4x4, batch normalization and Leaky ReLU after each, and a last
    convolution over what is left: one logit a photo, and its sigmoid. Batch normalization stands
    after the first convolution as well, as the report has it; Radford et al. leave it out there.
    All kernels are 4x4, weights start from N(0, 0.02).

    Args:
        image_size: side S of the square input: a power of two, at least 32.
        filters: filters of the hidden convolutions, one each for S/2, S/4, ..., 4; None for the
            generator's rule mirrored: 16 at first, doubling, at most 512.
        norm_momentum: how slowly batch normalization's moving statistics follow.

    Returns:
        Model from {"lightness": (N, S, S, 1), "ab": (N, S, S, 2)} to {"logits": (N, 1) float32,
        "probability": the same, "feature_1": (N, S/2, S/2, C), ...}.

    Raises:
        ValueError: `image_size` is no power of two or under 32, or there are filters for another
            number of levels.
    """
    filters = _checked("filters", filters, _filters_by_rule(image_size)[::-1])
    inputs, x = discriminator_inputs(image_size)
    features = []
    for number, count in enumerate(filters, start=1):
        x = _shrinking(x, count, f"block_{number}", norm_momentum)
        features.append(x)
    score = layers.Conv2D(
        1, KERNEL_SIZE, kernel_initializer=_normal(), dtype="float32", name="score"
    )(x)
    logits = layers.Flatten(dtype="float32", name="logits")(score)
    return discriminator_model(inputs, features, logits, "dcgan_discriminator")


def _filters_by_rule(image_size: int) -> tuple[int, ...]:
    """Filters at 4, 8, ..., `image_size` / 2."""
    if image_size < 32 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of two, at least 32, not {image_size}")
    levels = image_size.bit_length() - 3
    return tuple(min(_MAX_FILTERS, _MIN_FILTERS << level) for level in reversed(range(levels)))


def _checked(name: str, given: Sequence[int] | None, rule: Sequence[int]) -> Sequence[int]:
    if given is None:
        return rule
    if len(given) != len(rule):
        raise ValueError(f"{name} must have {len(rule)} entries at this size, not {len(given)}")
    return given


def _normal() -> initializers.Initializer:
    # One each: an initializer of Keras that is used twice gives the same numbers twice.
    return initializers.RandomNormal(stddev=INITIAL_STDDEV)


def _shrinking(x: Tensor, filters: int, name: str, norm_momentum: float) -> Tensor:
    x = layers.Conv2D(
        filters,
        KERNEL_SIZE,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=_normal(),
        name=name,
    )(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_norm")(x)
    return layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(x)


def _growing(
    x: Tensor, filters: int, name: str, norm_momentum: float, *, from_vector: bool
) -> Tensor:
    x = _transposed(filters, name, from_vector=from_vector, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=norm_momentum, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _transposed(
    filters: int, name: str, *, from_vector: bool = False, use_bias: bool = True
) -> layers.Layer:
    """A transposed convolution: from 1x1 to 4x4, or to twice the side."""
    return layers.Conv2DTranspose(
        filters,
        KERNEL_SIZE,
        strides=1 if from_vector else 2,
        padding="valid" if from_vector else "same",
        use_bias=use_bias,
        kernel_initializer=_normal(),
        name=name,
    )
