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
