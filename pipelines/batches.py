"""tf.data batches of (lightness, ab) over prepared photos."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.decoding import Tensor, decode_jpeg, resize_square
from pipelines.epochs import epoch_length, photos_shown
from pipelines.errors import NoPhotosError
from pipelines.lab_records import (
    RECORD_DTYPE,
    filled,
    lab_batch,
    network_batch,
    photos_file,
    read_records,
    split_records,
)
from pipelines.parallelism import fixed_parallelism
from pipelines.preparation import PreparedPhotos
from pipelines.stored_photos import address, read_photo


def training_batches(
    prepared: PreparedPhotos,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    steps: int | None = None,
    min_crop: float = 1.0,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of one epoch, shuffled over the whole set and flipped left-right at random.

    Below 1, `min_crop` cuts a random square out of each picture, of a share of its side between
    that and 1, and enlarges it bilinearly to the whole size.

    Order, flips and crops follow from `seed` and `epoch` alone, so that a run taken up again at
    `first_step` sees what it would have seen. The last, smaller batch is left out, unless it is
    the only one. With `steps`, the epoch ends after so many batches.

    With `part` (w, n), for one of n workers, a batch is the w-th of n equal slices of what it
    would be; `batch_size` stays that of the whole.

    Returns:
        Dataset of (lightness, ab): float32 (N, S, S, 1) and (N, S, S, 2), each in [-1, 1].

    Raises:
        ValueError: a batch cannot be sliced equally.
    """
    random = np.random.default_rng([seed, epoch])
    shown = photos_shown(prepared.weights, seed, epoch)
    order = shown[random.permutation(len(shown))]
    flips = random.random(len(order)) < 0.5
    boxes = _boxes(random, len(order), min_crop)
    last = steps_per_epoch(prepared, batch_size, steps) * batch_size
    places = np.arange(first_step * batch_size, min(last, len(order)))
    worker, workers = part
    if workers > 1:
        if len(places) % batch_size or batch_size % workers:
            raise ValueError(f"a batch of {batch_size} photos cannot be sliced into {workers}")
        # Batch by batch, slice by slice.
        places = places.reshape(-1, workers, batch_size // workers)[:, worker].ravel()
        batch_size //= workers
    batches = _batches(prepared, order[places], flips[places], batch_size)
    if min_crop == 1.0:
        return batches
    by_batch = tf.data.Dataset.from_tensor_slices(boxes[places]).batch(batch_size)
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
    """The number of batches in an epoch of `training_batches`.

    Raises:
        NoPhotosError: the weights of the photos are too small for one.
    """
    length = epoch_length(prepared.weights)
    if length == 0:
        raise NoPhotosError(f"{prepared.root}: with these weights an epoch shows no photo")
    steps = max(1, length // batch_size)
    return steps if at_most is None else min(steps, at_most)


def _batches(
    prepared: PreparedPhotos, order: np.ndarray, flips: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    batch_size = min(batch_size, len(order))
    if prepared.records is None:
        dataset = _from_photos(prepared, order, flips, batch_size)
    else:
        dataset = _from_records(prepared, prepared.records, order, flips, batch_size)
    return fixed_parallelism(dataset.prefetch(2))


def _from_records(
    prepared: PreparedPhotos, records: Path, order: np.ndarray, flips: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Reads and converts whole batches: single photos would cost more in calls than in work."""
    file, size = photos_file(records), prepared.image_size

    @tf.autograph.experimental.do_not_convert
    def read(indices: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
        full = filled(indices, batch_size)
        rows = tf.numpy_function(
            lambda wanted: read_records(file, wanted, size), [full], RECORD_DTYPE, stateful=False
        )
        rows = tf.ensure_shape(rows, (batch_size, 3 * size**2))
        batch = _network_batch_of_records(rows, filled(flips, batch_size), size)
        return _first(batch, tf.shape(indices)[0])

    indices = np.array(prepared.record_indices, np.int64)[order]
    dataset = tf.data.Dataset.from_tensor_slices((indices, flips))
    return dataset.batch(batch_size).map(read, num_parallel_calls=tf.data.AUTOTUNE)


def _from_photos(
    prepared: PreparedPhotos, order: np.ndarray, flips: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Goes through what records would hold, so that both ways give the same batches."""

    @tf.autograph.experimental.do_not_convert
    def decode(path: Tensor, orientation: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
        picture = decode_jpeg(read_photo(path), orientation)
        return resize_square(picture, prepared.image_size, prepared.resize), flip

    @tf.autograph.experimental.do_not_convert
    def convert(rgb: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
        full = lab_batch(filled(rgb, batch_size), batch_size)
        return _first(_network_batch(*full, filled(flips, batch_size)), tf.shape(rgb)[0])

    files = [prepared.files[i] for i in order]
    columns = (
        [address(file) for file in files],
        np.array([file.orientation for file in files], np.int32),
        flips,
    )
    return (
        tf.data.Dataset.from_tensor_slices(columns)
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .map(convert, num_parallel_calls=tf.data.AUTOTUNE)
    )


# Compiled once for a shape, not anew for each epoch.
_network_batch = tf.function(network_batch, jit_compile=True, autograph=False)


@tf.function(jit_compile=True, autograph=False)
def _network_batch_of_records(rows: Tensor, flips: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return network_batch(*split_records(rows, size), flips)


def _first(batch: tuple[Tensor, Tensor], count: Tensor) -> tuple[Tensor, Tensor]:
    lightness, ab = batch
    return lightness[:count], ab[:count]


def _boxes(random: np.random.Generator, count: int, min_crop: float) -> np.ndarray:
    """Corners (top, left, bottom, right) of random squares as shares of the side, (count, 4)."""
    side = random.uniform(min_crop, 1.0, count)
    corner = random.random((count, 2)) * (1.0 - side[:, None])
    return np.concatenate([corner, corner + side[:, None]], axis=1).astype(np.float32)


def _cropped(pictures: Tensor, boxes: Tensor) -> Tensor:
    shape = tf.shape(pictures)
    cut = tf.image.crop_and_resize(pictures, boxes, tf.range(shape[0]), shape[1:3])
    return tf.ensure_shape(cut, pictures.shape)
