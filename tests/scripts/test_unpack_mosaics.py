"""scripts/unpack_mosaics.py on made-up mosaics."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "unpack_mosaics.py"
COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (90, 90, 90), (250, 240, 10)]


def command(mosaics: Path, output: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, SCRIPT, "--mosaics", mosaics, "--output", output, "--side", "16"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def mosaics(tmp_path) -> Path:
    """A mosaic of 3 x 2 tiles, the last of them empty, each of one colour."""
    folder = tmp_path / "mosaics"
    folder.mkdir()
    pixels = np.zeros((32, 48, 3), np.uint8)
    lines = []
    for number, colour in enumerate(COLOURS):
        row, column = divmod(number, 3)
        pixels[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = colour
        lines.append(f"one.png\t{number}\tset/train/n{number}/images/n{number}_7.JPEG")
    Image.fromarray(pixels).save(folder / "one.png")
    (folder / "index.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_each_tile_becomes_a_photo_of_its_own(mosaics, tmp_path):
    done = command(mosaics, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"5 photos written to {tmp_path / 'out'}" in done.stderr
    for number, colour in enumerate(COLOURS):
        with Image.open(tmp_path / "out" / f"n{number}" / f"n{number}_7.jpg") as photo:
            assert photo.size == (16, 16)
            assert np.abs(np.asarray(photo, int) - colour).max() <= 3


def test_what_is_there_is_kept(mosaics, tmp_path):
    kept = tmp_path / "out" / "n2" / "n2_7.jpg"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    assert "4 photos written" in command(mosaics, tmp_path / "out").stderr
    assert kept.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one.png\t6\ta/b_1.JPEG", "has 6 tiles, none is 6"),
        ("one.png\tx\ta/b_1.JPEG", "line 6 is not mosaic, tile, source path"),
        ("one.png\t5\t../b_1.JPEG", "line 6 has no sane source path"),
        ("one.png\t5\tn0/n0_7.JPEG", "two tiles come from photos of the same name"),
        ("two.png\t5\ta/b_1.JPEG", "two.png: cannot be read"),
    ],
)
def test_an_index_that_does_not_fit_is_one_clear_line(mosaics, tmp_path, line, message):
    with (mosaics / "index.tsv").open("a") as index:
        index.write(line + "\n")
    done = command(mosaics, tmp_path / "out")
    assert done.returncode == 1
    (told,) = [row for row in done.stderr.splitlines() if row.startswith("error: ")]
    assert message in told
