"""Lab records: a photo as the networks see it, ready on disk.

A record is a raw file of (lightness, a, b), scaled to [-1, 1] by `pipelines.color`, in float16,
shape (image_size, image_size, 3), little-endian. Near 1 a float16 step is 0.0005: 0.012 L or
0.03 ab at most after rounding, a tenth of what 8-bit RGB has lost already.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from keras import ops

from pipelines import tfio_color
from pipelines.color import lab_to_lightness_ab
from pipelines.decoding import Resize, Tensor
from pipelines.photo_files import PhotoFile

RECORD_DTYPE = "float16"
_SUMMARY = "summary.json"


@dataclass
class Summary:
    """What a pass over a folder found, kept beside its records.

    Attributes:
        rejected: index of a file and why it is left out.
        mean_ab: index of a usable file and the mean (a, b) of its pixels, in [-1, 1].
    """

    rejected: dict[int, str]
    mean_ab: dict[int, tuple[float, float]]


def lab_batch(rgb: Tensor, batch_size: int) -> Tensor:
    """Converts float32 RGB in [0, 1], shape (N, H, W, 3), to scaled Lab records in float16.

    Through tensorflow-io, compiled by XLA: three times faster than its plain operations. A
    batch of fewer than `batch_size` photos is filled up, so that it is not compiled for itself.
    """
    count = tf.shape(rgb)[0]
    full = tf.pad(rgb, [[0, batch_size - count], [0, 0], [0, 0], [0, 0]])
    return _compiled(tf.ensure_shape(full, (batch_size, *rgb.shape[1:])))[:count]


@tf.function(jit_compile=True)
def _compiled(rgb: Tensor) -> Tensor:
    lightness, ab = lab_to_lightness_ab(tfio_color.rgb_to_lab(rgb))
    return tf.cast(ops.concatenate([lightness, ab], axis=-1), RECORD_DTYPE)


def record_path(records: Path, photo: Path) -> Path:
    """Says where the record of `photo` lies in the folder `records`."""
    name = hashlib.sha1(os.fsencode(photo.resolve()), usedforsecurity=False).hexdigest()
    return records / f"{name}.lab"


def record_bytes(image_size: int) -> int:
    """The size of a record."""
    return 3 * image_size**2 * np.dtype(RECORD_DTYPE).itemsize


def parse_record(encoded: Tensor, image_size: int) -> Tensor:
    """Reads the bytes of a record in a graph: (image_size, image_size, 3) float16."""
    return tf.reshape(tf.io.decode_raw(encoded, RECORD_DTYPE), (image_size, image_size, 3))


def fingerprint(files: Sequence[PhotoFile], image_size: int, resize: Resize) -> str:
    """Hashes what the records of `files` depend on: paths, sizes, times, and how they are made."""
    entries = [(str(f.path.resolve()), f.bytes, f.path.stat().st_mtime_ns) for f in files]
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


def load_summary(
    records: Path, files: Sequence[PhotoFile], image_size: int, fingerprint: str
) -> Summary | None:
    """Reads the summary of an earlier pass over the very same files.

    Returns:
        None where there is none, or it or a record is not whole.
    """
    try:
        content = json.loads((records / _SUMMARY).read_text(encoding="utf-8"))
        if content["fingerprint"] != fingerprint:
            return None
        rejected = {int(index): reason for index, reason in content["rejected"].items()}
        mean_ab = {int(index): (a, b) for index, (a, b) in content["mean_ab"].items()}
        sizes = {record_path(records, files[i].path).stat().st_size for i in mean_ab}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = sizes == {record_bytes(image_size)}
    return Summary(rejected, mean_ab) if whole else None
