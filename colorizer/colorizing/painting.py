"""The network's small ab laid on a photo at full size, a strip of pixels at a time."""

from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import color

Tensor = Any

# Pixels converted at once: a fixed number, so that XLA compiles once for photos of all sizes;
# float Lab of a strip takes a few MiB, that of a whole 24-megapixel photo would take a GiB.
STRIP_PIXELS = 1 << 17


def lay_on(
    rgb: np.ndarray, ab: np.ndarray, *, saturation: float = 1.0, strip_pixels: int = STRIP_PIXELS
) -> np.ndarray:
    """Gives a photo the colours `ab` and keeps its lightness at full size.

    `ab` is resized bilinearly (half-pixel centres, antialiased where the photo is the smaller:
    as `tf.image.resize(antialias=True)`). Colours outside sRGB are clipped in RGB, and only
    there does the lightness change.

    Args:
        rgb: uint8 (H, W, 3), sRGB; its own colours are not looked at.
        ab: float32 (S, S, 2) in [-1, 1].
        saturation: factor on `ab`, 0 or more; 0 gives gray.
        strip_pixels: pixels converted at once.

    Returns:
        uint8 (H, W, 3), sRGB.
    """
    height, width = rgb.shape[:2]
    table, rows, columns = _table(ab * np.float32(saturation), height, width)
    pixels = rgb.reshape(-1, 3)
    painted = np.empty_like(pixels)
    strip = np.zeros((strip_pixels, 3), np.uint8)
    sizes = tf.constant([height, width, rows, columns], tf.int32)
    for first in range(0, len(pixels), strip_pixels):
        count = min(strip_pixels, len(pixels) - first)
        strip[:count] = pixels[first : first + count]
        packed = _paint_strip(tf.constant(strip), tf.constant(first, tf.int32), sizes, table)
        channels = packed.numpy()[:count, None].view(np.uint8)
        for channel in range(3):
            painted[first : first + count, channel] = channels[:, channel]
    return painted.reshape(rgb.shape)


def _table(ab: np.ndarray, height: int, width: int) -> tuple[Tensor, int, int]:
    """Shrinks ab to a smaller photo's sides; pads it back to (S, S, 2) for one compiled shape."""
    size = ab.shape[0]
    rows, columns = min(size, height), min(size, width)
    shrunk = ab
    if (rows, columns) != (size, size):
        shrunk = tf.image.resize(ab, (rows, columns), antialias=True)
    return tf.pad(shrunk, [[0, size - rows], [0, size - columns], [0, 0]]), rows, columns


@tf.function(jit_compile=True, autograph=False)
def _paint_strip(pixels: Tensor, first: Tensor, sizes: Tensor, table: Tensor) -> Tensor:
    """Paints `pixels`, uint8 (P, 3): those from number `first` on, counted row by row.

    Each pixel looks its ab up by its own place, so that where strips end does not matter.

    Returns:
        uint32 (P,): red + 256 green + 65536 blue. Channels put together in any other way make XLA
        compute all of it once for each, several times as slow.
    """
    height, width, rows, columns = tf.unstack(sizes)
    places = first + tf.range(pixels.shape[0])
    above, below, down = _neighbours(places // width, height, rows)
    left, right, across = _neighbours(places % width, width, columns)
    stride = table.shape[1]

    def enlarged(plane: Tensor) -> Tensor:
        def row(index: Tensor) -> Tensor:
            start, end = (tf.gather(plane, index * stride + side) for side in (left, right))
            return start + (end - start) * across

        top, bottom = row(above), row(below)
        return top + (bottom - top) * down

    a, b = (color.AB_RANGE * enlarged(tf.reshape(table[..., i], [-1])) for i in range(2))
    rgb = [tf.cast(pixels[:, i], tf.float32) / 255.0 for i in range(3)]
    lightness, _, _ = color.rgb_planes_to_lab(*rgb)
    painted = color.lab_planes_to_rgb(lightness, a, b)
    red, green, blue = (tf.cast(tf.round(255.0 * plane), tf.uint32) for plane in painted)
    return red + 256 * green + 65536 * blue


def _neighbours(places: Tensor, full: Tensor, small: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For places on an axis of length `full`: the two samples of `small` around, and between.

    The weight is that of the second.
    """
    scale = tf.cast(small, tf.float32) / tf.cast(full, tf.float32)
    exact = (tf.cast(places, tf.float32) + 0.5) * scale - 0.5
    lower = tf.floor(exact)
    first = tf.cast(lower, tf.int32)
    last = small - 1
    return (
        tf.clip_by_value(first, 0, last),
        tf.clip_by_value(first + 1, 0, last),
        exact - lower,
    )
