"""Batches of photos as they come from their files, for the passes that look at each once."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from pipelines.decoding import Resize, Tensor, decode_jpeg, resize_square
from pipelines.lab_records import lab_batch
from pipelines.parallelism import fixed_parallelism

_BATCH = 16


def decoded_batches(
    photos: tf.data.Dataset,
    image_size: int,
    resize: Resize,
    read: Callable[[Tensor], Tensor] = tf.identity,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Decodes JPEGs and converts them to Lab; what cannot be decoded does not come out.

    Args:
        photos: of (index int64, source string, orientation int32).
        image_size: side of the square pictures, S.
        resize: see `pipelines.decoding.resize_square`.
        read: makes of a source, in a graph, the bytes of the file.

    Yields:
        index (N,); RGB, float32 (N, S, S, 3) in [0, 255]; lightness and ab as
        `pipelines.lab_records` keeps them, int16 (N, S, S, 1) and (N, S, S, 2).
    """

    @tf.autograph.experimental.do_not_convert
    def decode(index: Tensor, source: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
        picture = decode_jpeg(read(source), orientation)
        return index, resize_square(picture, image_size, resize)

    @tf.autograph.experimental.do_not_convert
    def convert(indices: Tensor, rgb: Tensor) -> tuple[Tensor, ...]:
        return indices, rgb, *lab_batch(rgb, _BATCH)

    dataset = (
        photos.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
        # Without this, nothing is decoded while a batch is put together.
        .prefetch(_BATCH)
        .batch(_BATCH)
        .map(convert, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )
    yield from fixed_parallelism(dataset).as_numpy_iterator()
