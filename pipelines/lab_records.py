"""Lab records: the photos of a folder as the networks see them, ready on disk.

One file holds them all, one after another, so that any of them is found by its number. A record
is the lightness (image_size, image_size) of a photo, then its ab (image_size, image_size, 2), in
int16, of the machine's byte order: 32767 times what `pipelines.color` scales to [-1, 1]. Rounding
takes at most half a step: 0.0008 L and 0.002 ab, a hundredth of what 8-bit RGB has lost already.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines import tfio_color
from pipelines.color import lab_to_lightness_ab
from pipelines.decoding import Resize, Tensor
from pipelines.photo_files import PhotoFile

RECORD_DTYPE = "int16"
RECORD_ONE = 32767
_SUMMARY = "summary.json"
_PHOTOS = "photos.lab"


@dataclass
class Summary:
    """What a pass over a folder found, kept beside its records.

    Attributes:
        rejected: index of a file and why it is left out.
        mean_ab: index of a usable file and the mean (a, b) of its pixels, in [-1, 1]; sorted by
            index, which is the order of the records.
    """

    rejected: dict[int, str]
    mean_ab: dict[int, tuple[float, float]]


def lab_batch(rgb: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Converts float32 RGB in [0, 255], shape (N, H, W, 3), to what records hold.

    Through tensorflow-io, compiled by XLA. A batch of fewer than `batch_size` photos is filled
    up, so that it is not compiled for itself.

    Returns:
        int16 lightness (N, H, W, 1) and ab (N, H, W, 2).
    """
    responses = _responses(filled(rgb, batch_size))
    lightness, ab = _rounded_lab(responses)
    count = tf.shape(rgb)[0]
    return lightness[:count], ab[:count]


def network_batch(lightness: Tensor, ab: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
    """Makes float32 in [-1, 1] of int16 lightness and ab; mirrors those where `flips` (N,)."""

    def scaled(pictures: Tensor) -> Tensor:
        turned = tf.where(flips[:, None, None, None], pictures[:, :, ::-1], pictures)
        return tf.cast(turned, tf.float32) / RECORD_ONE

    return scaled(lightness), scaled(ab)


def filled(batch: Tensor, batch_size: int) -> Tensor:
    """Appends zeros to a batch (N, ...) up to `batch_size`, as a static shape."""
    rest = batch_size - tf.shape(batch)[0]
    # A full one is passed on: filling up copies.
    full = tf.cond(
        tf.equal(rest, 0),
        lambda: batch,
        lambda: tf.pad(batch, [[0, rest]] + [[0, 0]] * (len(batch.shape) - 1)),
    )
    return tf.ensure_shape(full, (batch_size, *batch.shape[1:]))


# Two programs: `tfio_color.rgb_to_responses` says why.
@tf.function(jit_compile=True, autograph=False)
def _responses(rgb: Tensor) -> Tensor:
    return tfio_color.rgb_to_responses(rgb / 255.0)


@tf.function(jit_compile=True, autograph=False)
def _rounded_lab(responses: Tensor) -> tuple[Tensor, Tensor]:
    lightness, ab = lab_to_lightness_ab(tfio_color.responses_to_lab(responses))
    return _rounded(lightness), _rounded(ab)


def _rounded(scaled: Tensor) -> Tensor:
    return tf.cast(tf.round(scaled * RECORD_ONE), RECORD_DTYPE)


def photos_file(records: Path) -> Path:
    """Says where in the folder `records` the records lie."""
    return records / _PHOTOS


def record_bytes(image_size: int) -> int:
    """The size of a record."""
    return 3 * image_size**2 * np.dtype(RECORD_DTYPE).itemsize


def read_records(file: Path, indices: np.ndarray, image_size: int) -> np.ndarray:
    """Reads records, in any order: (N, 3 image_size^2) int16, see `split_records`.

    By reads, not through a memory map, whose pages would count as this process's memory, and
    which kills the process where a disk fails.

    Raises:
        OSError: the file is missing or ends before a record does.
    """
    rows = np.empty((len(indices), 3 * image_size**2), RECORD_DTYPE)
    with file.open("rb", buffering=0) as records:
        for row, index in zip(rows, indices.tolist(), strict=True):
            records.seek(index * row.nbytes)
            if records.readinto(row.data) != row.nbytes:
                raise OSError(f"{file}: cut off within record {index}")
    return rows


def split_records(rows: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Splits what `read_records` gives into lightness (N, S, S, 1) and ab (N, S, S, 2)."""
    pixels = image_size**2
    square = (-1, image_size, image_size)
    return tf.reshape(rows[:, :pixels], (*square, 1)), tf.reshape(rows[:, pixels:], (*square, 2))


def fingerprint(files: Sequence[PhotoFile], image_size: int, resize: Resize) -> str:
    """Hashes what the records of `files` depend on: paths, sizes, times, and how they are made."""
    entries = [file.state for file in files]
    described = json.dumps([entries, image_size, resize, RECORD_DTYPE])
    return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()


def save_summary(records: Path, summary: Summary, fingerprint: str) -> None:
    """Writes the summary that makes a folder of records complete."""
    content = {
        "fingerprint": fingerprint,
        "rejected": summary.rejected,
        "mean_ab": summary.mean_ab,
    }
    (records / _SUMMARY).write_text(json.dumps(content), encoding="utf-8")


def load_summary(records: Path, image_size: int, fingerprint: str) -> Summary | None:
    """Reads the summary of an earlier pass over the very same files.

    Returns:
        None where there is none, or it or the records are not whole.
    """
    try:
        content = json.loads((records / _SUMMARY).read_text(encoding="utf-8"))
        if content["fingerprint"] != fingerprint:
            return None
        rejected = {int(index): reason for index, reason in content["rejected"].items()}
        mean_ab = {int(index): (a, b) for index, (a, b) in content["mean_ab"].items()}
        size = photos_file(records).stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    whole = size == len(mean_ab) * record_bytes(image_size)
    return Summary(rejected, mean_ab) if whole else None
