"""Photos of datasets come through the pipeline like those of folders."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.batches import evaluation_batches, steps_per_epoch, training_batches
from pipelines.datasets.photo_builder import PhotoConfig
from pipelines.datasets.photo_folder.photo_folder_dataset_builder import Builder
from pipelines.errors import ColorizerError, NoPhotosError, UsageError
from pipelines.preparation import prepare_photos
from pipelines.stored_photos import StoredPhoto, address, count_stored, has_split, read_photo

pytestmark = pytest.mark.usefixtures("built_datasets")
SAMPLES = Path("tfds:photo_folder")
MIXED = Path("tfds:photo_folder*0.5,tfds:photo_folder/few*2")


def joined(batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    parts = list(batches.as_numpy_iterator())
    return tuple(np.concatenate([part[i] for part in parts]) for i in (0, 1))


def test_the_same_photos_give_the_same_batches_as_their_folder(sample_photos):
    stored = prepare_photos(SAMPLES, split="validation", image_size=256)
    files = prepare_photos(sample_photos / "val", image_size=256)
    names = [path.relative_to(SAMPLES) for path in stored.photos]
    assert sorted(names) == [path.relative_to(files.root) for path in files.photos]
    places = [files.photos.index(files.root / name) for name in names]
    for one, other in zip(
        joined(evaluation_batches(stored, 4)), joined(evaluation_batches(files, 4)), strict=True
    ):
        assert np.abs(one - other[places]).mean() < 0.02


def test_records_change_nothing(tmp_path):
    plain = prepare_photos(MIXED, image_size=64)
    kept = prepare_photos(MIXED, image_size=64, records=tmp_path / "records")
    for one, other in zip(
        joined(training_batches(plain, 4, seed=1, epoch=2)),
        joined(training_batches(kept, 4, seed=1, epoch=2)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    again = prepare_photos(MIXED, image_size=64, records=tmp_path / "records")
    assert again == kept and again.fingerprint == kept.fingerprint


def test_a_mix_shows_its_parts_as_often_as_they_weigh():
    prepared = prepare_photos(MIXED, image_size=32)
    few = prepared.weights == 2
    assert few.sum() == 8 and len(prepared) == 48
    assert {path.relative_to(MIXED).parts[0] for path in prepared.photos} == {
        "photo_folder",
        "photo_folder.few",
    }
    assert steps_per_epoch(prepared, 4) == (20 + 16) // 4
    ab = np.array(prepared.photo_mean_ab)
    expected = (0.5 * ab[~few].sum(axis=0) + 2 * ab[few].sum(axis=0)) / (20 + 16)
    assert prepared.mean_ab == pytest.approx(expected.tolist())
    halved = prepare_photos(Path("tfds:photo_folder*0.5"), image_size=32)
    assert halved.fingerprint != prepare_photos(SAMPLES, image_size=32).fingerprint


def test_splits_and_counts():
    assert count_stored(SAMPLES, "train") == 40 and count_stored(MIXED, "train") == 48
    assert has_split(SAMPLES, "validation") and not has_split(MIXED, "validation")
    named = prepare_photos(Path("tfds:photo_folder/few:test"), image_size=32, limit=3)
    assert len(named) == 3


def test_what_cannot_be_used_is_one_line(tmp_path, monkeypatch):
    for words, error, message in (
        ("tfds:sports100", ColorizerError, "is not built in .* --dataset sports100 --source DIR"),
        ("tfds:photo_folder/crop", ColorizerError, "--dataset photo_folder .* --resize crop"),
        ("tfds:photo_folder/trip", ColorizerError, "--dataset photo_folder .* --name trip"),
        ("tfds:mnist", ColorizerError, "is not built in .*; .* builds imagenet_mini, sports100"),
        ("tfds:photo_folder:test", NoPhotosError, "has no split test, only train, validation"),
    ):
        with pytest.raises(error, match=message) as caught:
            prepare_photos(Path(words))
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="tfds:photo_folder: was built with --resize squash"):
        prepare_photos(SAMPLES, resize="crop")


def test_a_dataset_that_cannot_be_read_by_number_is_refused(sample_photos, tmp_path, monkeypatch):
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    builder = Builder(config=PhotoConfig(name="flat"), file_format="tfrecord")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=str(sample_photos / "val"))
    )
    with pytest.raises(ColorizerError, match="stored as tfrecord, which cannot be read by number"):
        prepare_photos(Path("tfds:photo_folder/flat"))


def test_a_damaged_dataset_is_one_line(tfds_data, tmp_path, monkeypatch):
    shutil.copytree(tfds_data, tmp_path / "data")
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "data"))
    (shard,) = (tmp_path / "data/photo_folder/few/1.0.0").glob("*train.array_record*")
    for size in (shard.stat().st_size // 2, None):
        if size is None:
            shard.unlink()
        else:
            os.truncate(shard, size)
        with pytest.raises(ColorizerError, match=f"{shard.name}: damaged; build the") as caught:
            prepare_photos(Path("tfds:photo_folder/few"))
        assert "\n" not in str(caught.value)


def test_files_and_stored_photos_are_read_alike(sample_photos):
    (stored, *_) = prepare_photos(SAMPLES, image_size=32).files
    assert isinstance(stored, StoredPhoto)
    assert len(read_photo(tf.constant(address(stored))).numpy()) == stored.bytes
    path = next(sample_photos.rglob("*.jpg"))
    assert read_photo(tf.constant(str(path))).numpy() == path.read_bytes()
