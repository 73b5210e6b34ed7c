"""tf.data batches of (lightness, ab) over prepared photos."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.decoding import Tensor, decode_jpeg, resize_square
from pipelines.lab_records import lab_batch, parse_record, record_path
from pipelines.preparation import PreparedPhotos


def training_batches(
    prepared: PreparedPhotos, batch_size: int, *, seed: int, epoch: int, first_step: int = 0
) -> tf.data.Dataset:
    """Batches of one epoch, shuffled over the whole set and flipped left-right at random.

    Order and flips follow from `seed` and `epoch` alone, so that a run taken up again at
    `first_step` sees what it would have seen. The last, smaller batch is left out, unless it is
    the only one.

    Returns:
        Dataset of (lightness, ab): float32 (N, S, S, 1) and (N, S, S, 2), each in [-1, 1].
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(prepared))
    flips = random.random(len(prepared)) < 0.5
    first = first_step * batch_size
    last = steps_per_epoch(prepared, batch_size) * batch_size
    return _batches(prepared, order[first:last], flips[first:last], batch_size)


def evaluation_batches(prepared: PreparedPhotos, batch_size: int) -> tf.data.Dataset:
    """Batches of all photos in the order of `prepared.photos`; the last may be smaller.

    Returns:
        Dataset of (lightness, ab): float32 (N, S, S, 1) and (N, S, S, 2), each in [-1, 1].
    """
    order = np.arange(len(prepared))
    return _batches(prepared, order, np.zeros(len(order), bool), batch_size)


def steps_per_epoch(prepared: PreparedPhotos, batch_size: int) -> int:
    """The number of batches in an epoch of `training_batches`."""
    return max(1, len(prepared) // batch_size)


def _batches(
    prepared: PreparedPhotos, order: np.ndarray, flips: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    read, convert = _reader(prepared, batch_size)
    dataset = tf.data.Dataset.from_tensor_slices((_columns(prepared, order), flips))
    return (
        dataset.map(
            lambda column, flip: _flipped(read(*column), flip),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(batch_size)
        .map(lambda batch: _split(convert(batch)), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def _columns(prepared: PreparedPhotos, order: np.ndarray) -> tuple[Any, ...]:
    files = [prepared.files[i] for i in order]
    if prepared.records is not None:
        return ([os.fsencode(record_path(prepared.records, file.path)) for file in files],)
    orientations = np.array([file.orientation for file in files], np.int32)
    return [os.fsencode(file.path) for file in files], orientations


def _reader(
    prepared: PreparedPhotos, batch_size: int
) -> tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]:
    """How one picture is read, and what then turns a batch of them into Lab records."""
    size, resize = prepared.image_size, prepared.resize
    if prepared.records is not None:
        return lambda path: parse_record(tf.io.read_file(path), size), lambda batch: batch

    def read(path: Tensor, orientation: Tensor) -> Tensor:
        return resize_square(decode_jpeg(tf.io.read_file(path), orientation), size, resize)

    return read, lambda batch: lab_batch(batch, batch_size)


def _flipped(picture: Tensor, flip: Tensor) -> Tensor:
    return tf.cond(flip, lambda: picture[:, ::-1], lambda: picture)


def _split(records: Tensor) -> tuple[Tensor, Tensor]:
    scaled = tf.cast(records, tf.float32)
    return scaled[..., :1], scaled[..., 1:]
