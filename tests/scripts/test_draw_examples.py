"""scripts/draw_examples.py with an untrained model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "draw_examples.py"


def test_rows_are_gray_coloured_and_true(tiny_run, sample_photos, tmp_path):
    photos = sorted((sample_photos / "val").glob("*.jpg"))[:2]
    (old, *_) = sorted((sample_photos.parent / "historical").glob("*.jpg"))
    sheet = tmp_path / "sheet.jpg"
    words = [SCRIPT, "--model", tiny_run, "--output", sheet, "--side", "32"]
    words += ["--photos", *photos, "--old", old]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    pixels = np.asarray(Image.open(sheet), int)
    assert pixels.shape == (3 * 36 - 4, 3 * 36 - 4, 3)
    gray = pixels[:32, :32]
    assert np.abs(gray[..., 0] - gray[..., 2]).max() < 12
    # The last row has no third picture: white.
    assert pixels[72:, 74:].min() > 240


def test_a_part_of_a_photo(tiny_run, tmp_path):
    photo = np.full((40, 80, 3), 250, np.uint8)
    photo[20:, 60:] = 60
    Image.fromarray(photo).save(tmp_path / "photo.png")
    sheet = tmp_path / "sheet.jpg"
    words = [SCRIPT, "--model", tiny_run, "--output", sheet, "--side", "16"]
    words += ["--photos", f"{tmp_path / 'photo.png'}:0.75,0.5,0.25"]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    true = np.asarray(Image.open(sheet), int)[:, -16:]
    assert true.shape == (16, 16, 3) and abs(true.mean() - 60) < 4
