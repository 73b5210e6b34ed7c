"""One pass over a folder of photos before anything learns from it.

The pass decodes every photo once. It finds what cannot be used (broken files, files that are not
JPEG, gray and toned originals), the mean ab of the rest, and, where asked to, keeps each photo as
a ready Lab record, so that later epochs need neither JPEG decoding nor colour conversion.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.dataset_names import is_dataset
from pipelines.decoded_batches import decoded_batches
from pipelines.decoding import Resize, decode_jpeg
from pipelines.errors import NoPhotosError, NotWrittenError
from pipelines.grayness import why_gray
from pipelines.lab_records import (
    RECORD_ONE,
    Summary,
    fingerprint,
    load_summary,
    photos_file,
    save_summary,
)
from pipelines.photo_files import PhotoFile, Rejection, find_jpegs, inspect_headers
from pipelines.stored_photos import address, find_stored, read_photo

Item = TypeVar("Item")


@dataclass(frozen=True)
class PreparedPhotos:
    """The usable photos of a folder or of datasets.

    Attributes:
        root: the folder, or the names of the datasets.
        files: the usable photos, sorted by path; those of datasets as they are stored.
        rejected: the files that were left out, and why.
        photo_mean_ab: mean (a, b) of each usable photo, scaled to [-1, 1].
        image_size: side of the square pictures.
        resize: how they were made square.
        records: folder of Lab records, or None where photos are decoded anew each epoch.
        record_indices: which of them is that of each usable photo; empty without records.
    """

    root: Path
    files: tuple[PhotoFile, ...]
    rejected: tuple[Rejection, ...]
    photo_mean_ab: tuple[tuple[float, float], ...]
    image_size: int
    resize: Resize
    records: Path | None
    record_indices: tuple[int, ...] = ()

    def __len__(self) -> int:
        """The number of usable photos."""
        return len(self.files)

    @property
    def photos(self) -> tuple[Path, ...]:
        """The paths of the usable photos, in the order of `files`."""
        return tuple(file.path for file in self.files)

    @property
    def mean_ab(self) -> tuple[float, float]:
        """Mean (a, b) over all pixels that an epoch shows, scaled to [-1, 1]."""
        mean_a, mean_b = np.average(self.photo_mean_ab, axis=0, weights=self.weights).tolist()
        return mean_a, mean_b

    @property
    def weights(self) -> np.ndarray:
        """How many times an epoch shows each photo, on average."""
        return np.array([file.weight for file in self.files])

    @property
    def fingerprint(self) -> str:
        """A hash of names, sizes, weights: equal where the same photos are seen the same way."""
        entries = [(file.path.name, file.bytes, file.weight) for file in self.files]
        described = json.dumps([entries, self.image_size, self.resize])
        return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()

    def split(self, share: float, seed: int) -> tuple["PreparedPhotos", "PreparedPhotos"]:
        """Splits into the rest and a random `share` of the photos, at least one on each side.

        Raises:
            NoPhotosError: there are fewer than two photos.
        """
        if len(self) < 2:
            raise NoPhotosError("one photo cannot be split into training and validation photos")
        order = np.random.default_rng(seed).permutation(len(self))
        held_out = min(max(1, round(share * len(self))), len(self) - 1)
        rest = replace(self._subset(order[held_out:]), rejected=self.rejected)
        return rest, self._subset(order[:held_out])

    def evenly_spaced(self, count: int) -> "PreparedPhotos":
        """Takes at most `count` of the photos, evenly spaced over the sorted list."""
        return self._subset(np.array(_evenly_spaced(range(len(self)), count)))

    def _subset(self, indices: np.ndarray) -> "PreparedPhotos":
        chosen = np.sort(indices)
        return replace(
            self,
            files=tuple(self.files[i] for i in chosen),
            rejected=(),
            photo_mean_ab=tuple(self.photo_mean_ab[i] for i in chosen),
            record_indices=tuple(self.record_indices[i] for i in chosen) if self.records else (),
        )


def prepare_photos(
    folder: Path,
    *,
    split: str = "train",
    image_size: int = 256,
    resize: Resize = "squash",
    limit: int | None = None,
    records: Path | None = None,
    progress: bool = False,
) -> PreparedPhotos:
    """Prepares the JPEG photos of a tree of folders, or of datasets.

    Args:
        folder: searched with all its sub-folders for `.jpg` and `.jpeg`, in any letter case; or
            the names of datasets, see `pipelines.dataset_names`.
        split: which split of those datasets that name none.
        image_size: side of the square pictures that the networks see.
        resize: "squash" or "crop", see `pipelines.decoding.resize_square`.
        limit: at most so many files, evenly spaced over the sorted list.
        records: folder to keep Lab records in (6 bytes a pixel); one that an earlier call left
            for the same files is taken as it is.
        progress: whether to show a progress bar on stderr.

    Raises:
        NoPhotosError: `folder` is missing, holds no JPEG file, or no usable one.
        NotWrittenError: the records cannot be written.
        ColorizerError: a dataset is not built, or cannot be read by number.
        UsageError: a dataset's photos were made square in another way.
    """
    checked = find_photos(folder, split, resize, limit)
    files = [item for item in checked if isinstance(item, PhotoFile)]
    broken = [item for item in checked if isinstance(item, Rejection)]
    if records is None:
        summary = _scan(files, image_size, resize, None, progress)
    else:
        summary = _with_records(files, image_size, resize, records, progress)
    return _result(folder, files, broken, summary, image_size, resize, records)


def _with_records(
    files: Sequence[PhotoFile], image_size: int, resize: Resize, records: Path, progress: bool
) -> Summary:
    wanted = fingerprint(files, image_size, resize)
    if kept := load_summary(records, image_size, wanted):
        return kept
    partial = records.with_name(f".{records.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        summary = _scan(files, image_size, resize, partial, progress)
        save_summary(partial, summary, wanted)
        shutil.rmtree(records, ignore_errors=True)
        partial.rename(records)
    except OSError as error:
        raise NotWrittenError(records, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return summary


def find_photos(
    folder: Path, split: str, resize: Resize, limit: int | None = None
) -> list[PhotoFile | Rejection]:
    """Lists the photos of a tree of folders, or of datasets; arguments are `prepare_photos`'s.

    Raises:
        NoPhotosError, ColorizerError, UsageError: as `prepare_photos` does.
    """
    if is_dataset(folder):
        return _evenly_spaced(list(find_stored(folder, split, resize)), limit)
    return list(inspect_headers(choose_jpegs(folder, limit)))


def choose_jpegs(folder: Path, limit: int | None = None) -> list[Path]:
    """Lists the JPEG files below `folder`, or `limit` of them, evenly spaced over the sorted list.

    Raises:
        NoPhotosError: `folder` is missing or holds none.
    """
    if not folder.is_dir():
        raise NoPhotosError(f"{folder}: no such folder")
    paths = find_jpegs(folder)
    if not paths:
        raise NoPhotosError(f"{folder}: holds no .jpg or .jpeg file")
    return _evenly_spaced(paths, limit)


def _evenly_spaced(items: Sequence[Item], limit: int | None) -> list[Item]:
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


def _scan(
    files: Sequence[PhotoFile],
    image_size: int,
    resize: Resize,
    records: Path | None,
    progress: bool,
) -> Summary:
    rejected: dict[int, str] = {}
    mean_ab: dict[int, tuple[float, float]] = {}
    decoded = np.zeros(len(files), bool)
    interval = 1.0 if sys.stderr.isatty() else 30.0
    with (
        tqdm(
            total=len(files), desc="reading photos", mininterval=interval, disable=not progress
        ) as bar,
        nullcontext() if records is None else photos_file(records).open("wb") as file,
    ):
        for indices, _, lightness, ab in _batches(files, image_size, resize):
            decoded[indices] = True
            bar.update(int(indices[-1]) + 1 - bar.n)
            reasons = why_gray(lightness, ab, RECORD_ONE)
            means = _mean_ab(ab)
            for number, (index, reason) in enumerate(zip(indices.tolist(), reasons, strict=True)):
                if reason:
                    rejected[index] = reason
                    continue
                mean_ab[index] = means[number]
                if file is not None:
                    file.write(lightness[number].data)
                    file.write(ab[number].data)
        bar.update(len(files) - bar.n)
    for index in np.flatnonzero(~decoded).tolist():
        rejected[index] = _why_undecodable(files[index])
    return Summary(rejected, mean_ab)


def _mean_ab(ab: np.ndarray) -> list[tuple[float, float]]:
    """Means of int16 (N, S, S, 2), scaled to [-1, 1]."""
    count, side = ab.shape[:2]
    # Exact sums, first of whole rows; a column of int16 fits int32 up to a side of 65,536.
    columns = ab.reshape(count, side, -1).sum(axis=1, dtype=np.int32)
    sums = columns.reshape(count, side, 2).sum(axis=1, dtype=np.int64)
    return [(a, b) for a, b in (sums / (side**2 * RECORD_ONE)).tolist()]


def _batches(
    files: Sequence[PhotoFile], image_size: int, resize: Resize
) -> Iterator[tuple[np.ndarray, ...]]:
    if not files:
        return
    columns = (
        np.arange(len(files)),
        [address(file) for file in files],
        np.array([file.orientation for file in files], np.int32),
    )
    photos = tf.data.Dataset.from_tensor_slices(columns)
    yield from decoded_batches(photos, image_size, resize, read_photo)


def _why_undecodable(file: PhotoFile) -> str:
    try:
        decode_jpeg(read_photo(tf.constant(address(file))), tf.constant(file.orientation))
    except tf.errors.InvalidArgumentError:
        return "damaged or cut off JPEG data"
    except tf.errors.OpError as error:
        return f"cannot be read: {error.message}"
    return "changed while it was read"


def _result(
    folder: Path,
    files: Sequence[PhotoFile],
    broken: Sequence[Rejection],
    summary: Summary,
    image_size: int,
    resize: Resize,
    records: Path | None,
) -> PreparedPhotos:
    usable = sorted(summary.mean_ab)
    unusable = [Rejection(files[index].path, why) for index, why in summary.rejected.items()]
    rejected = sorted([*broken, *unusable], key=lambda item: item.path)
    if not usable:
        first = rejected[0]
        raise NoPhotosError(
            f"{folder}: none of {len(rejected)} files is a usable colour photo"
            f" (the first, {first.path.name}: {first.reason})"
        )
    return PreparedPhotos(
        root=folder,
        files=tuple(files[index] for index in usable),
        rejected=tuple(rejected),
        photo_mean_ab=tuple(summary.mean_ab[index] for index in usable),
        image_size=image_size,
        resize=resize,
        records=records,
        record_indices=() if records is None else tuple(range(len(usable))),
    )
