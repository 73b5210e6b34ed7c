"""Other colours as likely as the usual ones: noise for the classes of colours.

Drawn for each pixel alone, classes would be confetti. Here the logits get a Gaussian random field
over place, lightness and colour: smooth in each of them, so that what is near and as light takes
the same turn, and related colours gain or lose together. Where the network is sure, that changes
little; where several colours are about as likely, another wins ("perturb and MAP", Papandreou and
Yuille 2011, with smooth noise and the annealed mean).
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from colorizer.ab_classes import CENTERS
from pipelines import color

Tensor = Any

# Standard deviation, in temperatures of the annealed mean, and the distances over which the field
# changes: in sides of the square, in Lab units of L and of ab. Chosen on validation photos.
STRENGTH = 2.1
PLACE_SCALE = 0.5
LIGHTNESS_SCALE = 30.0
AB_SCALE = 30.0
# The field is a sum of so many waves (random Fourier features, Rahimi and Recht 2007).
WAVES = 128


class Waves(NamedTuple):
    """One draw of the field.

    Attributes:
        over_pixels: frequencies over (x, y, lightness), float32 (3, WAVES).
        over_colours: over (a, b), float32 (2, WAVES).
        phases: float32 (WAVES,).
    """

    over_pixels: np.ndarray
    over_colours: np.ndarray
    phases: np.ndarray


def draw_waves(seed: int) -> Waves:
    """Draws a field of standard deviation 1; the same for the same seed."""
    random = np.random.default_rng(seed)
    pixels = random.standard_normal((3, WAVES)) / [
        [PLACE_SCALE],
        [PLACE_SCALE],
        [LIGHTNESS_SCALE / color.LIGHTNESS_HALF_RANGE],
    ]
    colours = random.standard_normal((2, WAVES)) / (AB_SCALE / color.AB_RANGE)
    phases = random.uniform(0, 2 * np.pi, WAVES)
    return Waves(*(part.astype(np.float32) for part in (pixels, colours, phases)))


def field(lightness: Tensor, waves: Waves) -> Tensor:
    """Gives the field for pictures.

    Args:
        lightness: float32 (N, S, S, 1) in [-1, 1].
        waves: a draw; its parts may be tensors.

    Returns:
        float32 (N, S, S, CLASSES), of mean 0 and standard deviation 1 over draws.
    """
    along = tf.linspace(0.0, 1.0, tf.shape(lightness)[1])
    across, down = (
        tf.broadcast_to(part[..., None], tf.shape(lightness)) for part in tf.meshgrid(along, along)
    )
    pixels = tf.concat([across, down, lightness], axis=-1) @ waves.over_pixels + waves.phases
    colours = tf.constant(CENTERS) @ waves.over_colours
    # cos(p + c) = cos p cos c - sin p sin c: one product of matrices for all pixels and colours.
    summed = tf.matmul(tf.cos(pixels), tf.cos(colours), transpose_b=True) - tf.matmul(
        tf.sin(pixels), tf.sin(colours), transpose_b=True
    )
    return summed * np.float32(np.sqrt(2 / WAVES))
