"""What builders leave out, what they store and what they tell, on made-up photos."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from fake_photos import packed, save, scene
from PIL import Image

from pipelines.datasets.imagenet_mini.imagenet_mini_dataset_builder import Builder as ImagenetMini
from pipelines.datasets.photo_builder import PhotoBuilder, counted, drawn_split
from pipelines.datasets.photo_folder.photo_folder_dataset_builder import Builder as PhotoFolder
from pipelines.datasets.photo_sources import ArchiveSource
from pipelines.errors import NoPhotosError, PhotoError


def built(builder: PhotoBuilder, manual_dir: Path) -> PhotoBuilder:
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=str(manual_dir))
    )
    return builder


def examples(builder: PhotoBuilder, split: str) -> dict[str, np.ndarray]:
    source = builder.as_data_source(split=split)
    return {example["name"].decode(): example["image"] for example in source}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Splits with good photos, and one each of all that is left out."""
    folder = tmp_path / "photos"
    for name, seed in {"train/a": 1, "train/sea/b": 2, "val/c": 3, "test/d": 4}.items():
        save(folder / f"{name}.jpg", scene(seed))
    save(folder / "train/gray.jpg", scene(5).convert("L"))
    save(folder / "train/sea/copy_of_d.jpg", scene(4).resize((70, 70)), quality=40)
    mirrored = scene(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    save(folder / "train/mirrored_c.jpg", mirrored)
    save(folder / "val/copy_of_d.jpg", scene(4), quality=60)
    (folder / "train/cut.jpg").write_bytes((folder / "train/a.jpg").read_bytes()[:900])
    (folder / "train/empty.jpg").touch()
    scene(6).save(folder / "train/png.jpg", "PNG")
    save(folder / "elsewhere/f.jpg", scene(7))
    return folder


def test_what_is_left_out_is_told_and_the_rest_stored(folder, tmp_path):
    builder = built(PhotoFolder(data_dir=tmp_path / "data"), folder)
    assert set(examples(builder, "train")) == {"a.jpg", "sea/b.jpg"}
    reread = tfds.builder_from_directory(builder.data_dir).info.metadata
    splits = reread["splits"]
    assert reread["passed_over"] == 1
    assert [splits[name]["photos"] for name in ("test", "validation", "train")] == [1, 1, 2]
    assert splits["validation"]["left_out"] == {"val/copy_of_d.jpg": "copy of test/d.jpg"}
    assert splits["train"]["left_out"] == {
        "train/cut.jpg": "damaged or cut off JPEG data",
        "train/empty.jpg": "empty file",
        "train/gray.jpg": "gray or nearly gray",
        "train/mirrored_c.jpg": "copy of val/c.jpg",
        "train/png.jpg": "named JPEG but holds PNG",
        "train/sea/copy_of_d.jpg": "copy of test/d.jpg",
    }
    assert counted(splits["train"]["left_out"])["copy"] == 2
    content = (folder / "test/d.jpg").read_bytes()
    line = f"{hashlib.sha256(content).hexdigest()}  test/d.jpg\n"
    assert splits["test"]["files sha256"] == hashlib.sha256(line.encode()).hexdigest()


def test_names_need_not_be_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9/\xff.jpg")
    save(tmp_path / "photos/train/" / name, scene(1))
    builder = built(PhotoFolder(data_dir=tmp_path / "data"), tmp_path / "photos")
    (example,) = builder.as_data_source(split="train")
    assert example["name"] == os.fsencode(name) and example["label"] == b"caf\xe9"


def test_squash_and_crop_are_those_of_the_pipeline(folder, tmp_path):
    from pipelines.decoding import resize_square

    photo = tf.io.decode_jpeg((folder / "test/d.jpg").read_bytes(), dct_method="INTEGER_ACCURATE")
    for resize in ("squash", "crop"):
        builder = built(PhotoFolder(data_dir=tmp_path / "data", config=resize), folder)
        stored = examples(builder, "test")["d.jpg"].astype(float)
        expected = resize_square(photo, 256, resize).numpy()
        assert np.abs(stored - expected).mean() < 2
        assert builder.info.metadata["resize"] == resize


def test_photos_of_the_right_size_are_stored_byte_for_byte(tmp_path):
    save(tmp_path / "photos/train/a.jpg", scene(1, (256, 256)), quality=80)
    turned = scene(2, (256, 256))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "photos/train/turned.jpg", exif=exif, quality=95)
    builder = built(PhotoFolder(data_dir=tmp_path / "data"), tmp_path / "photos")
    raw = tfds.decode.SkipDecoding()
    source = builder.as_data_source(split="train", decoders={"image": raw})
    stored = {example["name"].decode(): example["image"] for example in source}
    assert stored["a.jpg"] == (tmp_path / "photos/train/a.jpg").read_bytes()
    upright = examples(builder, "train")["turned.jpg"].astype(float)
    expected = np.asarray(turned.transpose(Image.Transpose.ROTATE_270), float)
    assert np.abs(upright - expected).mean() < 3
    assert builder.info.metadata["splits"]["train"]["stored byte for byte"] == 1


def test_archives_are_read_in_place_and_hashed(tmp_path):
    save(tmp_path / "imagenet-mini/train/n01/a.JPEG", scene(1))
    save(tmp_path / "imagenet-mini/train/n01/b.JPEG", scene(2))
    manual = tmp_path / "manual"
    manual.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "imagenet-mini").rename(tmp_path / "root/imagenet-mini")
    archive = packed(tmp_path / "root", manual / "imagenetmini-1000.zip")
    builder = built(ImagenetMini(data_dir=tmp_path / "data"), manual)
    assert len(examples(builder, "train")) == 2
    source = builder.info.metadata["source"]
    assert source["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert source["bytes"] == archive.stat().st_size


def test_a_damaged_file_in_an_archive_is_left_out(tmp_path):
    save(tmp_path / "photos/a.jpg", scene(1))
    archive = packed(tmp_path / "photos", tmp_path / "photos.zip")
    content = bytearray(archive.read_bytes())
    content[500] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(PhotoError, match=r"a\.jpg: damaged in the archive"):
        ArchiveSource(archive).read("a.jpg")


def test_hidden_and_other_files_in_an_archive_are_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("b/2.JPG", "a/1.jpeg", "__MACOSX/a/._1.jpeg", "sports.csv", ".x/3.jpg"):
            archive.writestr(name, b"x")
    assert ArchiveSource(tmp_path / "a.zip").names == ("a/1.jpeg", "b/2.JPG")


def test_nothing_to_build_from_is_one_line_and_leaves_nothing(tmp_path):
    manual = tmp_path / "manual"
    save(manual / "train/gray.jpg", scene(1).convert("L"))
    for builder, message in (
        (PhotoFolder, "none of 1 files of train is a usable colour photo.*gray"),
        (ImagenetMini, "holds none of imagenetmini-1000.zip, imagenet-mini"),
    ):
        with pytest.raises(NoPhotosError, match=message):
            built(builder(data_dir=tmp_path / "data"), manual)
    (manual / "imagenetmini-1000.zip").write_bytes(b"no archive")
    with pytest.raises(NoPhotosError, match=r"imagenetmini-1000.zip: cannot be read as a ZIP"):
        built(ImagenetMini(data_dir=tmp_path / "data"), manual)
    assert not list((tmp_path / "data").rglob("*record*"))


def test_splits_are_drawn_by_name_alone():
    names = [f"{number:05}.jpg" for number in range(4000)]
    drawn = {name: drawn_split(name, {"test": 0.05, "validation": 0.1}) for name in names}
    shares = {split: list(drawn.values()).count(split) / 4000 for split in set(drawn.values())}
    assert shares == pytest.approx({"test": 0.05, "validation": 0.1, "train": 0.85}, abs=0.015)
