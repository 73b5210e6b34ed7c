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
    prepared: PreparedPhotos,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    steps: int | None = None,
    min_crop: float = 1.0,
) -> tf.data.Dataset:
    """Batches of one epoch, shuffled over the whole set and flipped left-right at random.

    Below 1, `min_crop` cuts a random square out of each picture, of a share of its side between
    that and 1, and enlarges it bilinearly to the whole size.

    Order, flips and crops follow from `seed` and `epoch` alone, so that a run taken up again at
    `first_step` sees what it would have seen. The last, smaller batch is left out, unless it is
    the only one. With `steps`, the epoch ends after so many batches.

    Returns:
        Dataset of (lightness, ab): float32 (N, S, S, 1) and (N, S, S, 2), each in [-1, 1].
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(prepared))
    flips = random.random(len(prepared)) < 0.5
    boxes = _boxes(random, len(prepared), min_crop)
    first = first_step * batch_size
    last = steps_per_epoch(prepared, batch_size, steps) * batch_size
    batches = _batches(prepared, order[first:last], flips[first:last], batch_size)
    if min_crop == 1.0:
        return batches
    by_batch = tf.data.Dataset.from_tensor_slices(boxes[first:last]).batch(batch_size)
    return (
        tf.data.Dataset.zip(batches, by_batch)
        .map(lambda batch, box: tuple(_cropped(x, box) for x in batch), tf.data.AUTOTUNE)
        .prefetch(2)
    )


def evaluation_batches(prepared: PreparedPhotos, batch_size: int) -> tf.data.Dataset:
    """Batches of all photos in the order of `prepared.photos`; the last may be smaller.

    Returns:
        Dataset of (lightness, ab): float32 (N, S, S, 1) and (N, S, S, 2), each in [-1, 1].
    """
    order = np.arange(len(prepared))
    return _batches(prepared, order, np.zeros(len(order), bool), batch_size)


def steps_per_epoch(prepared: PreparedPhotos, batch_size: int, at_most: int | None = None) -> int:
    """The number of batches in an epoch of `training_batches`."""
    steps = max(1, len(prepared) // batch_size)
    return steps if at_most is None else min(steps, at_most)


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


def _boxes(random: np.random.Generator, count: int, min_crop: float) -> np.ndarray:
    """Corners (top, left, bottom, right) of random squares as shares of the side, (count, 4)."""
    side = random.uniform(min_crop, 1.0, count)
    corner = random.random((count, 2)) * (1.0 - side[:, None])
    return np.concatenate([corner, corner + side[:, None]], axis=1).astype(np.float32)


def _cropped(pictures: Tensor, boxes: Tensor) -> Tensor:
    shape = tf.shape(pictures)
    cut = tf.image.crop_and_resize(pictures, boxes, tf.range(shape[0]), shape[1:3])
    return tf.ensure_shape(cut, pictures.shape)


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
