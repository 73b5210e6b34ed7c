"""From the colours of a few points to those of the photo.

A hint says by how much the prediction is off at one point. That error is taken for a draw of a
Gaussian process over place, lightness and predicted colour: pixels near a hint, as light as it and
predicted alike err alike, and the further away in any of these, the less. Its mean, given the
hints, is added to the prediction. So colour stops at edges, of lightness or of predicted colour,
and what is far stays as it was predicted. Any network can be hinted, as only its answer is needed.
Levin et al. (2004) spread colours over differences of neighbours; on a network's answer that
reached less far and scored lower.

TensorFlow's own operations alone, so that a SavedModel can hold them.
"""

from typing import Any

import tensorflow as tf

from pipelines import color

Tensor = Any

# The distances over which an error becomes another: in sides of a square of the photo's area, and
# in Lab units. Chosen on validation photos, by figures and by eye: half as wide again scores up to
# 0.4 dB higher with true colours, but floods the photo with a colour of one's own.
PLACE_SCALE = 0.3
LIGHTNESS_SCALE = 20.0
AB_SCALE = 12.0
# How far hints are to be doubted, as a variance beside 1: two in one place give their mean.
DOUBT = 0.02
MOST_HINTS = 500


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None, 1], tf.float32),
        tf.TensorSpec([None, None, 2], tf.float32),
        tf.TensorSpec([None, 5], tf.float32),
        tf.TensorSpec([], tf.float32),
    ],
    autograph=False,
)
def with_hints(lightness: Tensor, ab: Tensor, points: Tensor, aspect: Tensor) -> Tensor:
    """Bends predicted colours of one photo towards hints.

    Args:
        lightness: float32 (S, S, 1) in [-1, 1], of the photo squashed to a square.
        ab: the prediction for it, float32 (S, S, 2) in [-1, 1].
        points: float32 (K, 5), at most `MOST_HINTS`: x and y as shares of width and height, and
            sRGB in [0, 255]. Rows with a negative x count for nothing.
        aspect: the photo's width over its height, float32.

    Returns:
        ab, float32 (S, S, 2) in [-1, 1].

    Raises:
        tf.errors.InvalidArgumentError: there are too many points.
    """
    tf.debugging.assert_less_equal(
        tf.shape(points)[0], MOST_HINTS, f"more than {MOST_HINTS} hints for one photo"
    )
    said = tf.cast(points[:, 0] >= 0.0, tf.float32)
    _, wanted = color.rgb_to_lightness_ab(tf.clip_by_value(points[:, 2:] / 255.0, 0.0, 1.0))
    grid = tf.concat([lightness, ab], axis=-1)
    there = _sampled(grid, points[:, :2])
    missing = (wanted - there[:, 1:]) * said[:, None]
    pixels = _features(_centres(tf.shape(ab)[0]), tf.reshape(grid, (-1, 3)), aspect)
    hinted = _features(points[:, :2], there, aspect)
    # A point that counts for nothing stands alone.
    among = _kernel(hinted, hinted) * said[:, None] * said
    shares = tf.linalg.solve(among + tf.linalg.diag(DOUBT + 1.0 - said), missing)
    change = tf.matmul(_kernel(pixels, hinted) * said, shares)
    return tf.clip_by_value(ab + tf.reshape(change, tf.shape(ab)), -1.0, 1.0)


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    """The Matern covariance of smoothness 3/2 of features (P, F) and (K, F): (P, K)."""
    squares = (tf.reduce_sum(tf.square(features), axis=-1) for features in (one, other))
    ones, others = squares
    apart = ones[:, None] + others - 2.0 * tf.matmul(one, other, transpose_b=True)
    distance = tf.sqrt(3.0 * tf.maximum(apart, 0.0))
    return (1.0 + distance) * tf.exp(-distance)


def _features(places: Tensor, values: Tensor, aspect: Tensor) -> Tensor:
    """Places (P, 2) and lightness and ab (P, 3), each in units of its scale: (P, 5)."""
    sides = tf.stack([tf.sqrt(aspect), 1.0 / tf.sqrt(aspect)])
    scales = tf.constant(
        [
            color.LIGHTNESS_HALF_RANGE / LIGHTNESS_SCALE,
            color.AB_RANGE / AB_SCALE,
            color.AB_RANGE / AB_SCALE,
        ]
    )
    # About the middle, so that squares are small and their differences exact.
    return tf.concat([(places - 0.5) * sides / PLACE_SCALE, values * scales], axis=-1)


def _centres(size: Tensor) -> Tensor:
    """Centres of the pixels of a square as shares (x, y) of its side: (S * S, 2), row by row."""
    along = (tf.range(tf.cast(size, tf.float32)) + 0.5) / tf.cast(size, tf.float32)
    across, down = tf.meshgrid(along, along)
    return tf.reshape(tf.stack([across, down], axis=-1), (-1, 2))


def _sampled(grid: Tensor, places: Tensor) -> Tensor:
    """Looks values (S, S, C) up at places (K, 2), bilinearly as painting does: (K, C)."""
    size = tf.shape(grid)[0]
    exact = places * tf.cast(size, tf.float32) - 0.5
    lower = tf.floor(exact)
    weight = exact - lower
    first = tf.cast(lower, tf.int32)
    near, far = (tf.clip_by_value(first + step, 0, size - 1) for step in (0, 1))
    total = tf.zeros_like(tf.gather(tf.reshape(grid, (-1, grid.shape[-1])), near[:, 0]))
    for x, x_weight in ((near[:, 0], 1.0 - weight[:, 0]), (far[:, 0], weight[:, 0])):
        for y, y_weight in ((near[:, 1], 1.0 - weight[:, 1]), (far[:, 1], weight[:, 1])):
            corner = tf.gather_nd(grid, tf.stack([y, x], axis=-1))
            total += corner * (x_weight * y_weight)[:, None]
    return total
