"""scripts/train_shipped, the recipe of the weights that ship, on a few photos."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorizer.shipped import load_shipped, read_manifest

ROOT = Path(__file__).resolve().parents[2]
CATEGORIES = ("objects", "sports", "objects", "faces")


@pytest.fixture
def photo_sets(sample_photos, tmp_path) -> Path:
    """The layout of the large photo sets, with the sample photos in their places."""
    sets = tmp_path / "sets"
    for name in ("val", "test"):
        shutil.copytree(sample_photos / "val", sets / "photos" / name)
    for category in CATEGORIES:
        (sets / "photos" / "train" / category).mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(sorted((sample_photos / "train").rglob("*.jpg"))):
        shutil.copy(photo, sets / "photos" / "train" / CATEGORIES[number % len(CATEGORIES)])
    mosaics = sets / "photos_tiny"
    mosaics.mkdir()
    photos = sorted((sample_photos / "train").rglob("*.jpg"))[:16]
    tiles = [np.asarray(Image.open(photo).convert("RGB").resize((64, 64))) for photo in photos]
    rows = [np.concatenate(tiles[start : start + 4], axis=1) for start in range(0, 16, 4)]
    Image.fromarray(np.concatenate(rows)).save(mosaics / "one.png")
    lines = [f"one.png\t{number}\ta/n{number}_0.JPEG" for number in range(16)]
    (mosaics / "index.tsv").write_text("\n".join(lines) + "\n")
    return sets


@pytest.fixture
def more(sample_photos, tmp_path) -> Path:
    """What scripts/gather_photos.py would have gathered."""
    for source in ("sp100", "nette", "celeba", "tinyin"):
        shutil.copytree(sample_photos / "val", tmp_path / "more" / source)
    return tmp_path / "more"


@pytest.mark.slow
def test_one_command_makes_the_shipped_files_and_goes_on_where_it_was(photo_sets, more, tmp_path):
    environment = {
        **os.environ,
        "COLORIZER_PHOTOS": str(photo_sets),
        "MORE": str(more),
        "VENV": str(Path(sys.prefix)),
    }
    words = [ROOT / "scripts" / "train_shipped", tmp_path / "work", tmp_path / "shipped"]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    network, statistics = load_shipped(tmp_path / "shipped")
    assert network.input_shape == (None, 256, 256, 1) and statistics["train_images"] == 130
    manifest = read_manifest(tmp_path / "shipped")
    assert [stage["image_size"] for stage in manifest["stages"]] == [
        *[64, 128, 256] * 2,
        *[128, 224, 128, 256, 256],
        *[128, 256, 256, 256],
    ]
    named = [figures["name"] for figures in manifest["figures"]]
    assert named == ["faithful", "vivid", "train_alone"]
    again = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    assert "0 photos written" in again.stderr and "epoch 1/" not in again.stderr
    assert read_manifest(tmp_path / "shipped")["sha256"] == manifest["sha256"]
