"""Fixtures that all tests share."""

import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As `pipelines` asks: here TensorFlow is imported before it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, settings

# Two devices have to be asked for before TensorFlow first computes: for the tests of training on
# several. Everything else runs on the first, as it would on one.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# A shell has what it runs in the background ignore Ctrl-C, and all that this starts would, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Makes up few examples for property tests, and many with --slow; the same ones each time."""
    few = "not slow" in config.option.markexpr
    settings.register_profile(
        "here",
        max_examples=60 if few else 1500,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("here")


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The root of the large photo sets: $COLORIZER_PHOTOS, or `shared` beside the checkout."""
    root = Path(os.environ.get("COLORIZER_PHOTOS", ROOT.parent / "shared"))
    if not (root / "photos").is_dir():
        message = f"no photo sets under {root} (set COLORIZER_PHOTOS); the sample photos stand in"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return root


@pytest.fixture(scope="session")
def sample_photos() -> Path:
    """The free photos that the repository holds: train/ and val/."""
    return ROOT / "samples" / "photos"


@pytest.fixture(scope="session")
def tfds_data(sample_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What $TFDS_DATA_DIR may name: the sample photos as photo_folder, a few as photo_folder/few.

    The former has train and validation, the latter train and test.
    """
    import tensorflow_datasets as tfds

    from pipelines.datasets.photo_builder import PhotoConfig
    from pipelines.datasets.photo_folder.photo_folder_dataset_builder import Builder

    few = tmp_path_factory.mktemp("few")
    for split, photos in (("train", sample_photos / "train"), ("test", sample_photos / "val")):
        for photo in sorted(photos.rglob("*.jpg"))[:8]:
            target = few / split / photo.parent.name / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, target)
    data_dir = tmp_path_factory.mktemp("tfds")
    for config, folder in (("squash", sample_photos), (PhotoConfig(name="few"), few)):
        Builder(data_dir=data_dir, config=config).download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=str(folder))
        )
    return data_dir


@pytest.fixture
def built_datasets(tfds_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `tfds:photo_folder` and `tfds:photo_folder/few` be found, in subprocesses too."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_data))
    # tfds reads that once, when it is imported.
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tfds_data))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an untrained, seeded little CNN that sees 64x64."""
    import keras

    from colorizer.models.cnn import build_cnn

    keras.utils.set_random_seed(1)
    model = build_cnn(
        64, encoder_filters=(4, 8, 8, 8, 8), decoder_filters=(8, 4), output_filters=(4, 4)
    )
    run = tmp_path_factory.mktemp("tiny_run")
    model.save(run / "model.keras")
    statistics = {
        "mean_ab": [0.03, 0.06],
        "image_size": 64,
        "resize": "squash",
        "train_images": 0,
        "model": "cnn",
    }
    (run / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    (run / "config.json").write_text(json.dumps({"model": "cnn"}), encoding="utf-8")
    return run


@pytest.fixture(scope="session")
def import_script() -> Callable[[str], ModuleType]:
    """Imports a Python file of scripts/ by its name."""

    # Where a script finds those that it imports itself.
    if (folder := str(ROOT / "scripts")) not in sys.path:
        sys.path.append(folder)

    def imported(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return imported
