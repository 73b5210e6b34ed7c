"""What all photo builders share: which photos are usable, how they are stored, what is told.

A builder says which files make up each split. This module reads them, leaves out broken, gray and
toned ones and copies of photos that came before, and stores the rest as squares of `IMAGE_SIZE`.
"""

import hashlib
import io
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from pipelines.datasets.photo_sources import PhotoSource, find_source
from pipelines.decoded_batches import decoded_batches
from pipelines.decoding import Resize
from pipelines.errors import NoPhotosError, PhotoError
from pipelines.grayness import why_gray
from pipelines.lab_records import RECORD_ONE
from pipelines.likeness import SeenPhotos
from pipelines.photo_files import PhotoFile, inspect_encoded

IMAGE_SIZE = 256
# Of 150 photos shrunk to 256x256: mean ab error 0.67 Lab units at 34 kB. With chroma subsampled
# (4:2:0) it is 1.09 at 29 kB; raw pixels take 197 kB. A good colorizer is wrong by about 10.
_QUALITY, _SUBSAMPLING = 95, "4:4:4"
# The splits whose photos win over their copies in later ones, lest leaks flatter the figures.
SPLITS = ("test", "validation", "train")
_BATCH = 16


@dataclass(eq=False)
class PhotoConfig(tfds.core.BuilderConfig):
    """How photos become square: "squash" or "crop", see `pipelines.decoding.resize_square`."""

    resize: Resize = "squash"


CONFIGS = [
    PhotoConfig(name="squash", description="The aspect ratio changes, as in the report."),
    PhotoConfig(name="crop", description="The middle square is cut out.", resize="crop"),
]


class Place(NamedTuple):
    """Where in a dataset a file belongs.

    Attributes:
        split: its split.
        label: its class or folder, "" where there is none.
        name: what its example is called, unique in the split.
    """

    split: str
    label: str
    name: str


@dataclass(frozen=True)
class _Seen:
    """A file that decodes.

    Attributes:
        file: what its header says; the path is the name in the source.
        encoded: its bytes.
        picture: uint8 (S, S, 3).
        gray: why it counts as gray, or None.
    """

    file: PhotoFile
    encoded: bytes
    picture: np.ndarray
    gray: str | None

    @property
    def name(self) -> str:
        return self.file.path.as_posix()


class PhotoBuilder(tfds.core.GeneratorBasedBuilder):
    """Base of the photo builders, which name their `PLACES` and say what is in a split.

    `info.metadata` tells what was built from what: the source, and for each split the photos that
    were kept and those that were left out, with the reasons.

    Raises (when it builds):
        NoPhotosError: the source is missing, or a split comes out empty.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = CONFIGS
    PLACES: tuple[str, ...] = ()
    HOMEPAGE: str = ""

    def __init__(self, *, file_format: str = "array_record", **kwargs: Any) -> None:
        """Stores ArrayRecord, whose examples are read by number, unless told otherwise."""
        super().__init__(file_format=file_format, **kwargs)

    @abstractmethod
    def place_of(self, name: str) -> Place | None:
        """Says where a file of the source belongs.

        Returns:
            None for a file that is passed over.
        """

    def _info(self) -> tfds.core.DatasetInfo:
        # Labels as text: which classes there are is up to the files.
        features = {
            "image": tfds.features.Image(shape=(IMAGE_SIZE, IMAGE_SIZE, 3), encoding_format="jpeg"),
            "label": tfds.features.Text(),
            "name": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
        )

    def _source(self, manual_dir: Path) -> PhotoSource:
        return find_source(manual_dir, self.PLACES)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[bytes, dict]]]:
        source = self._source(Path(dl_manager.manual_dir))
        splits = self._splits(source)
        metadata = self.info.metadata
        metadata |= {"resize": self.builder_config.resize, "source": source.described()}
        found = sum(len(places) for places in splits.values())
        metadata |= {"passed_over": len(source.names) - found, "splits": {}}
        seen = SeenPhotos()
        return {
            split: self._generate_examples(source, split, places, seen)
            for split, places in splits.items()
        }

    def _splits(self, source: PhotoSource) -> dict[str, dict[str, Place]]:
        """The files of each split, in the order in which copies are told."""
        splits: dict[str, dict[str, Place]] = {split: {} for split in SPLITS}
        for name in source.names:
            if place := self.place_of(name):
                splits[place.split][name] = place
        found = {split: places for split, places in splits.items() if places}
        if not found:
            raise NoPhotosError(f"{source.path}: holds no photo where they are expected")
        return found

    def _generate_examples(
        self, source: PhotoSource, split: str, places: Mapping[str, Place], seen: SeenPhotos
    ) -> Iterator[tuple[bytes, dict]]:
        left_out: dict[str, str] = {}
        digest = hashlib.sha256()
        kept = as_they_were = 0
        for item in _examined(source, list(places), self.builder_config.resize, digest):
            if isinstance(item, PhotoError):
                left_out[item.path.as_posix()] = item.reason
            elif item.gray:
                left_out[item.name] = item.gray
            elif copied := seen.copy_of(item.picture):
                left_out[item.name] = f"copy of {copied}"
            else:
                seen.add(item.name, item.picture)
                encoded = _stored(item)
                kept += 1
                as_they_were += encoded is item.encoded
                # Bytes: a file's name need not be UTF-8.
                _, label, name = map(os.fsencode, places[item.name])
                example = {"image": io.BytesIO(encoded), "label": label, "name": name}
                yield os.fsencode(item.name), example
        if not kept:
            first, why = next(iter(left_out.items()))
            raise NoPhotosError(
                f"{source.path}: none of {len(left_out)} files of {split} is a usable colour photo"
                f" (the first, {first}: {why})"
            )
        self.info.metadata["splits"][split] = {
            "photos": kept,
            "stored byte for byte": as_they_were,
            "files sha256": digest.hexdigest(),
            "left_out": left_out,
        }


def counted(left_out: Mapping[str, str]) -> Counter[str]:
    """Counts the reasons for which files were left out; copies of any photo are one reason."""
    return Counter("copy" if why.startswith("copy of ") else why for why in left_out.values())


def _examined(
    source: PhotoSource, names: Sequence[str], resize: Resize, digest: Any
) -> Iterator[_Seen | PhotoError]:
    """Reads and decodes files; `digest` takes in a line of SHA-256 and name for each, in order."""
    # TensorFlow reads ahead in another thread: these two are copied before they are gone through.
    waiting: dict[int, tuple[PhotoFile, bytes]] = {}
    broken: dict[int, PhotoError] = {}

    def read() -> Iterator[tuple[int, bytes, int]]:
        for index, name in enumerate(names):
            try:
                encoded = source.read(name)
                digest.update(b"%b  %b\n" % (_sha256(encoded), os.fsencode(name)))
                file = inspect_encoded(Path(name), encoded)
            except PhotoError as error:
                broken[index] = error
                continue
            waiting[index] = file, encoded
            yield index, encoded, file.orientation

    def turn(upto: int) -> Iterator[PhotoError]:
        # What never came out of the pipeline could not be decoded.
        for index in [i for i in list(waiting) if i < upto]:
            broken[index] = PhotoError(waiting.pop(index)[0].path, "damaged or cut off JPEG data")
        for index in sorted(i for i in list(broken) if i < upto):
            yield broken.pop(index)

    for index, picture, gray in _decoded(read, resize):
        yield from turn(index)
        yield _Seen(*waiting.pop(index), picture, gray)
    yield from turn(len(names))


def _decoded(read: Any, resize: Resize) -> Iterator[tuple[int, np.ndarray, str | None]]:
    signature = (
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((), tf.string),
        tf.TensorSpec((), tf.int32),
    )
    photos = tf.data.Dataset.from_generator(read, output_signature=signature)
    for indices, rgb, lightness, ab in decoded_batches(photos, IMAGE_SIZE, resize):
        pictures = np.rint(rgb).astype(np.uint8)
        yield from zip(indices.tolist(), pictures, why_gray(lightness, ab, RECORD_ONE), strict=True)


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _stored(item: _Seen) -> bytes:
    """The bytes of a JPEG of the right size: the file's own where it has that size already."""
    with Image.open(io.BytesIO(item.encoded)) as image:
        fits = image.size == (IMAGE_SIZE, IMAGE_SIZE) and image.mode == "RGB"
    # Readers of the dataset know nothing of EXIF turns.
    if fits and item.file.orientation == 1:
        return item.encoded
    encoded = io.BytesIO()
    Image.fromarray(item.picture).save(
        encoded, "JPEG", quality=_QUALITY, subsampling=_SUBSAMPLING, optimize=True
    )
    return encoded.getvalue()


def drawn_split(name: str, shares: Mapping[str, float]) -> str:
    """Draws a split for a file by its name alone: other files coming or going move none.

    Args:
        name: the file's name.
        shares: of the splits that are drawn from; the rest is "train".
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in shares.items():
        if place < share:
            return split
        place -= share
    return "train"
