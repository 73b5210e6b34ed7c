"""The README, word by word: every command that it names, in its order, on the sample photos."""

import base64
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import pytest
from command_lines import QUICK, ROOT, furnished, ran
from PIL import Image

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (python .+|scripts/.+|git .+)$", README, re.MULTILINE)
REQUESTS = re.findall(r"^    (.*curl .+)$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A user's folder with the photos that the README speaks of."""
    return furnished(tmp_path_factory.mktemp("home"))


def test_the_whole_way(home):
    lines = [line for line in COMMANDS if line.startswith("python ")]
    assert len(lines) == 23
    (serving,) = [line for line in lines if "models_export.serve" in line]
    (client,) = [line for line in lines if "models_export.client" in line]
    for line in lines:
        if line in (serving, client):
            continue
        begins = "colorizer.fit" in line and "--resume" not in line
        printed = ran(home, f"{line} {QUICK}" if begins else line)
        if "colorizer.evaluate" in line:
            assert "gray (ab = 0)" in printed
    scores = json.loads((home / "scores.json").read_text())
    assert {"psnr", "delta_e_76", "delta_e_2000", "ssim", "colourfulness"} <= set(scores)
    assert scores["images"] == 8 and scores["gray"]["psnr"] > 0 and scores["mean_ab"]["psnr"] > 0
    assert (home / "sheet.png").is_file()
    assert (home / "exported" / "colorizer" / "1" / "saved_model.pb").is_file()
    assert (home / "exported" / "colorizer_litert_int8" / "1" / "model.tflite").is_file()
    for old in [*(home / "old_album").iterdir(), home / "scan.tif"]:
        coloured = home / "in_colour" / f"{old.stem}.png"
        with Image.open(coloured) as result, Image.open(old) as original:
            assert result.size == original.size
    with av.open(home / "in_colour" / "film.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) == 12

    (python,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-c", python], cwd=home, check=True, capture_output=True)
    assert (home / "old_in_colour.png").is_file()

    check_server(home, serving, client)

    ran(home, "python -m colorizer.evaluate --model exported/colorizer --data photos/val --json e")
    from_export = json.loads((home / "e").read_text())
    assert from_export["psnr"] == pytest.approx(scores["psnr"], abs=0.01)


def check_server(home: Path, line: str, client: str) -> None:
    words = [sys.executable, *shlex.split(line)[1:]]
    process = subprocess.Popen(words, cwd=home, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "gRPC interface on 127.0.0.1:8500\n"
        assert process.stdout.readline() == "REST interface on http://127.0.0.1:8501\n"
        ask = "until curl -sf http://127.0.0.1:8501/readyz; do sleep 0.2; done"
        subprocess.run(["bash", "-c", ask], check=True, timeout=120, capture_output=True)
        answers = [
            subprocess.check_output(["bash", "-c", request], cwd=home, text=True)
            for request in REQUESTS
        ]
        assert " 0 failed" in ran(home, client)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert len(list((home / "from_server").iterdir())) == len(list((home / "old_album").iterdir()))
    status, _, colorized = answers
    assert json.loads(status)["model_version_status"][0]["state"] == "AVAILABLE"
    (answer,) = json.loads((home / "answer.json").read_text())["predictions"]
    colour = io.BytesIO(base64.b64decode(answer["b64"]))
    with Image.open(colour) as picture, Image.open(home / "old.jpg") as original:
        assert picture.size == original.size
    assert len(json.loads(colorized)["predictions"][0][0][0]) == 3


def test_scripts_and_links_exist():
    assert "@@" not in README
    for line in COMMANDS:
        if line.startswith("scripts/"):
            assert (ROOT / line).is_file(), line
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
