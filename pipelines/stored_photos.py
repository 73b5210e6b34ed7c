"""Photos in datasets of TensorFlow Datasets, read by number like files by path."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tensorflow as tf

from pipelines.dataset_names import BuilderName, DatasetName, parse_datasets
from pipelines.decoding import Resize, Tensor
from pipelines.errors import ColorizerError, NoPhotosError, PhotoError, UsageError
from pipelines.photo_files import PhotoFile, Rejection, inspect_encoded

# Begins the address of a photo in a dataset; no path of a file holds it.
_MARK = b"\0"


@dataclass(frozen=True, kw_only=True)
class StoredPhoto(PhotoFile):
    """A photo in a dataset; `path` is what it is called, there is no such file.

    Attributes:
        shard: the ArrayRecord file that it is in.
        number: its number there.
    """

    shard: Path
    number: int

    @property
    def state(self) -> tuple[str, int, int]:
        """Changes where the photo changes."""
        name = f"{self.shard.resolve()}:{self.number}"
        return name, self.bytes, self.shard.stat().st_mtime_ns


def address(photo: PhotoFile) -> bytes:
    """Gives what `read_photo` finds a photo by."""
    if isinstance(photo, StoredPhoto):
        return b"%b%b%b%d" % (_MARK, os.fsencode(photo.shard), _MARK, photo.number)
    return os.fsencode(photo.path)


def read_photo(address: Tensor) -> Tensor:
    """Reads the bytes of a photo in a graph, by its `address`."""
    return tf.cond(
        tf.equal(tf.strings.substr(address, 0, 1), _MARK),
        lambda: tf.ensure_shape(tf.numpy_function(_encoded, [address], tf.string), ()),
        lambda: tf.io.read_file(address),
    )


def count_stored(data: Path, split: str) -> int:
    """Counts the photos of datasets; arguments and errors are those of `find_stored`."""
    parts = [_instructions(_find(one), one.split or split) for one in parse_datasets(data)]
    return sum(instruction.examples_in_shard for part in parts for instruction in part)


def has_split(data: Path, split: str) -> bool:
    """Whether all datasets have that split."""
    return all(split in _find(dataset).info.splits for dataset in parse_datasets(data))


def find_stored(data: Path, split: str, resize: Resize) -> Iterator[PhotoFile | Rejection]:
    """Lists the photos of datasets, in the order in which they are stored.

    Args:
        data: see `pipelines.dataset_names.parse_datasets`.
        split: the split of those that name none.
        resize: how photos are to be made square; what made them square must have been the same.

    Raises:
        ColorizerError: a dataset is not built, has no such split, is damaged, or cannot be read by
            number.
        UsageError: a dataset's photos were made square in another way.
    """
    datasets = parse_datasets(data)
    for dataset in datasets:
        builder = _find(dataset)
        built_with = (builder.info.metadata or {}).get("resize", resize)
        if built_with != resize:
            raise UsageError(f"tfds:{dataset.name}: was built with --resize {built_with}")
        # Those of several datasets are told apart like sub-folders.
        root = data if len(datasets) == 1 else data / dataset.name.replace("/", ".")
        yield from _photos(builder, dataset, dataset.split or split, root)


def _photos(
    builder: Any, dataset: DatasetName, split: str, root: Path
) -> Iterator[PhotoFile | Rejection]:
    for instruction in _instructions(builder, split):
        shard = Path(instruction.filename)
        for number in range(instruction.skip, instruction.skip + instruction.examples_in_shard):
            features = _features(shard, number)
            name = features["name"].bytes_list.value if "name" in features else ()
            path = root / (os.fsdecode(name[0]) if name else f"{shard.name}-{number:05}")
            try:
                file = inspect_encoded(path, features["image"].bytes_list.value[0])
            except PhotoError as error:
                yield Rejection(path, error.reason)
                continue
            yield StoredPhoto(
                path, file.orientation, file.bytes, dataset.weight, shard=shard, number=number
            )


def _find(dataset: DatasetName) -> Any:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    try:
        return builder_from_files(dataset.name)
    except tfds.core.DatasetNotFoundError:
        there = tfds.core.constants.DATA_DIR
        raise ColorizerError(
            f"tfds:{dataset.name}: is not built in {there}; {_how_to_build(dataset)}"
        ) from None


def _how_to_build(dataset: DatasetName) -> str:
    name, _, config = dataset.name.partition("/")
    ours = get_args(BuilderName)
    if name not in ours:
        return f"python -m colorizer.build_dataset builds {', '.join(ours)}"
    flags = f"--dataset {name} --source DIR"
    if config:
        flags += f" --resize {config}" if config in ("squash", "crop") else f" --name {config}"
    return f"python -m colorizer.build_dataset {flags} builds it"


def _instructions(builder: Any, split: str) -> Any:
    info = builder.info
    if split not in info.splits:
        there = ", ".join(sorted(info.splits))
        raise NoPhotosError(f"tfds:{info.name}: has no split {split}, only {there}")
    if info.file_format.value != "array_record":
        raise ColorizerError(
            f"tfds:{info.name}: is stored as {info.file_format.value}, which cannot be read by"
            " number; build it with file_format array_record"
        )
    if "image" not in (info.features or {}):
        raise ColorizerError(f"tfds:{info.name}: its examples have no image")
    return info.splits[split].file_instructions


@cache
def _shard(path: Path) -> Any:
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    return ArrayRecordDataSource([str(path)])


def _features(shard: Path, number: int) -> Any:
    try:
        return tf.train.Example.FromString(_shard(shard)[number]).features.feature
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ColorizerError(f"{shard}: damaged; build the dataset anew ({reason})") from None


def _encoded(address: Any) -> np.bytes_:
    # Bytes from a graph, an array of no dimensions from eager code.
    _, shard, number = np.asarray(address).item().split(_MARK)
    features = _features(Path(os.fsdecode(shard)), int(number))
    encoded: np.bytes_ = features["image"].bytes_list.value[0]
    return encoded
