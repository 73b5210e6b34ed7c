"""Each builder under tfds's own test of builders, on made-up photos laid out as Kaggle does."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from fake_photos import packed, save, scene

from pipelines.datasets.celeba_hq_256 import celeba_hq_256_dataset_builder
from pipelines.datasets.imagenet_mini import imagenet_mini_dataset_builder
from pipelines.datasets.photo_builder import PhotoConfig
from pipelines.datasets.photo_folder import photo_folder_dataset_builder
from pipelines.datasets.sports100 import sports100_dataset_builder


class FakePhotos:
    """Writes the photos to a folder that tfds takes for what was downloaded by hand."""

    PHOTOS: ClassVar[dict[str, int]] = {}
    ARCHIVE: str | None = None

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.EXAMPLE_DIR = tempfile.mkdtemp()
        unpacked = Path(cls.EXAMPLE_DIR) / "unpacked"
        folder = unpacked if cls.ARCHIVE else Path(cls.EXAMPLE_DIR)
        for name, seed in cls.PHOTOS.items():
            save(folder / name, scene(seed))
        if cls.ARCHIVE:
            packed(unpacked, Path(cls.EXAMPLE_DIR) / cls.ARCHIVE)
            shutil.rmtree(unpacked)

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.EXAMPLE_DIR)
        super().tearDownClass()

    def _make_builder(self, config: Any = None) -> Any:
        # The test reads with `as_dataset`, which tfds does not offer for ArrayRecord.
        return self.dataset_class(data_dir=self.tmp_dir, config=config, file_format="tfrecord")


class ImagenetMiniTest(FakePhotos, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = imagenet_mini_dataset_builder.Builder
    ARCHIVE = "imagenetmini-1000.zip"
    PHOTOS: ClassVar = {
        "imagenet-mini/train/n01440764/n01440764_10026.JPEG": 1,
        "imagenet-mini/train/n01443537/n01443537_2.JPEG": 2,
        "imagenet-mini/val/n01440764/ILSVRC2012_val_00009111.JPEG": 3,
        "imagenet-mini/val/n01443537/ILSVRC2012_val_00000236.JPEG": 4,
        "imagenet-mini/val/n01443537/ILSVRC2012_val_00000262.JPEG": 5,
        "imagenet-mini/val/n01443537/ILSVRC2012_val_00000307.JPEG": 6,
    }
    SPLITS: ClassVar = {"train": 2, "validation": 2, "test": 2}


class Sports100Test(FakePhotos, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = sports100_dataset_builder.Builder
    PHOTOS: ClassVar = {
        "sports-classification/train/air hockey/001.jpg": 1,
        "sports-classification/train/archery/001.jpg": 2,
        "sports-classification/train/archery/002.jpg": 3,
        "sports-classification/valid/archery/1.jpg": 4,
        "sports-classification/test/archery/1.jpg": 5,
    }
    SPLITS: ClassVar = {"train": 3, "validation": 1, "test": 1}


class CelebaHq256Test(FakePhotos, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = celeba_hq_256_dataset_builder.Builder
    PHOTOS: ClassVar = {f"celeba_hq_256/{number:05}.jpg": number for number in range(40)}
    SPLITS: ClassVar = {"train": 36, "validation": 1, "test": 3}


class PhotoFolderTest(FakePhotos, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = photo_folder_dataset_builder.Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["squash", "crop", PhotoConfig(name="holidays")]
    PHOTOS: ClassVar = {"train/a.jpg": 1, "train/sea/b.jpeg": 2, "val/c.JPG": 3, "test/d/e.jpg": 4}
    SPLITS: ClassVar = {"train": 2, "validation": 1, "test": 1}
