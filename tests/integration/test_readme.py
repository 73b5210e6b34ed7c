"""The README, word by word: every command that it names, in its order, on the sample photos."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (python .+|scripts/.+|git .+)$", README, re.MULTILINE)
# A README command trains for an hour; the same one is tried with less.
QUICK = "--preset smoke --epochs 2 --image-size 64"


@pytest.fixture(scope="module")
def home(tmp_path_factory, sample_photos) -> Path:
    """A user's folder with the photos that the README speaks of."""
    home = tmp_path_factory.mktemp("home")
    for name, source in (("train", "train"), ("val", "val"), ("test", "val")):
        shutil.copytree(sample_photos / source, home / "photos" / name)
    shutil.copytree(sample_photos.parent / "historical", home / "old_album")
    with Image.open(home / "old_album" / "migrant_mother_1936.jpg") as old:
        old.save(home / "scan.tif")
        old.save(home / "old.jpg")
    return home


def ran(home: Path, line: str) -> str:
    words = shlex.split(line)
    if words[1].startswith("scripts/"):
        words[1] = str(ROOT / words[1])
    done = subprocess.run([sys.executable, *words[1:]], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    return done.stdout


def test_the_whole_way(home):
    lines = [line for line in COMMANDS if line.startswith("python ")]
    assert len(lines) == 13
    for line in lines:
        begins = "colorizer.fit" in line and "--resume" not in line
        printed = ran(home, f"{line} {QUICK}" if begins else line)
        if "colorizer.evaluate" in line:
            assert "gray (ab = 0)" in printed
    scores = json.loads((home / "scores.json").read_text())
    assert {"psnr", "delta_e_76", "delta_e_2000", "ssim", "colourfulness"} <= set(scores)
    assert scores["images"] == 8 and scores["gray"]["psnr"] > 0 and scores["mean_ab"]["psnr"] > 0
    assert (home / "sheet.png").is_file()
    assert (home / "exported" / "colorizer" / "1" / "saved_model.pb").is_file()
    for old in [*(home / "old_album").iterdir(), home / "scan.tif"]:
        coloured = home / "in_colour" / f"{old.stem}.png"
        with Image.open(coloured) as result, Image.open(old) as original:
            assert result.size == original.size

    (python,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-c", python], cwd=home, check=True, capture_output=True)
    assert (home / "old_in_colour.png").is_file()

    ran(home, "python -m colorizer.evaluate --model exported/colorizer --data photos/val --json e")
    from_export = json.loads((home / "e").read_text())
    assert from_export["psnr"] == pytest.approx(scores["psnr"], abs=0.01)


def test_scripts_and_links_exist():
    assert "@@" not in README
    for line in COMMANDS:
        if line.startswith("scripts/"):
            assert (ROOT / line).is_file(), line
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
