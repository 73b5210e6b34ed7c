"""The command `python -m colorizer.colorize`, its exit codes, lines and files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from colorizer import colorize
from colorizer.colorizing import pipeline
from colorizer.images.provenance import software
from colorizer.inference import load

Run = Callable[..., tuple[int, str, str]]


def _photo(path: Path | str, size: tuple[int, int] = (40, 30), **options: object) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(size).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, (40, 40, 3))


def _files(folder: str) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()
    )


def test_photos_get_coloured(command: Run, tiny_run: Path) -> None:
    _photo("old.png", (40, 30))
    _photo("album/lake.png", (90, 20))
    code, out, err = command("old.png", "album", "--output", "out", "--batch-size", 1)
    assert code == 0, err
    assert out == "2 done, 0 skipped, 0 failed, 0 passed over: out\n"
    assert _files("out") == ["lake.png", "old.png"]
    with Image.open("old.png") as original, Image.open("out/old.png") as written:
        expected = load(tiny_run).colorize(np.asarray(original))
        assert (np.asarray(written) == expected).all()
        assert "network cnn, weights SHA-256" in written.info["Comment"]
        assert written.info["Comment"].endswith(", saturation 1")


def test_awkward_files(command: Run, shared_photos: Path) -> None:
    code, out, err = command(shared_photos / "bad_images", "--output", "out")
    assert code == 1
    assert out == "14 done, 0 skipped, 5 failed, 1 passed over: out\n"
    errors = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    failed = [Path(line.removeprefix("error: ").split(": ")[0]).name for line in errors]
    assert failed == [
        "claims_60000x60000.png",
        "html_renamed.jpg",
        "truncated.jpg",
        "truncated_in_header.jpg",
        "zero_bytes.jpg",
    ]
    assert "rgba.png: its transparent parts are laid on white" in err
    assert "Traceback" not in err
    written = _files("out")
    assert len(written) == 14
    assert "ảnh cũ của bà ngoại – Huế 1968.png" in written
    sizes = {}
    for name in written:
        with Image.open(Path("out") / name) as image:
            assert image.mode == "RGB"
            sizes[name] = image.size
    assert sizes.pop("one_pixel.png") == (1, 1)
    assert sizes.pop("one_by_3000.png") == (1, 3000)
    assert set(sizes.values()) == {(320, 240)}


def test_saturation_and_format(command: Run) -> None:
    _photo("old.png")
    assert command("old.png", "--output", "a", "--saturation", 0)[0] == 0
    gray = np.asarray(Image.open("a/old.png"))
    assert np.ptp(gray.astype(int), axis=-1).max() <= 1
    assert command("old.png", "--output", "a", "--format", "jpg")[0] == 0
    with Image.open("a/old.jpg") as image:
        assert image.format == "JPEG"


def test_hints_colour_the_photos_that_they_name(command: Run) -> None:
    for name in ("album/a.png", "album/b.png", "c.png"):
        _photo(name)
    hints = {"a.png": [{"x": 20, "y": "50%", "colour": "#c83c3c"}], "c.png": []}
    Path("hints.json").write_text(json.dumps(hints))
    assert command("album", "c.png", "--output", "plain")[0] == 0
    code, out, err = command("album", "c.png", "--output", "out", "--hints", "hints.json")
    assert code == 0, err
    assert out.startswith("3 done")
    changed = [
        name
        for name in _files("out")
        if Path("out", name).read_bytes() != Path("plain", name).read_bytes()
    ]
    assert changed == ["a.png"]
    # With all of them skipped a photo is still one of the photos.
    assert command("album", "c.png", "--output", "out", "--hints", "hints.json", "--skip-existing")[
        1
    ].startswith("0 done, 3 skipped")


def test_wrong_hints(command: Run) -> None:
    _photo("album/a.png")
    _photo("album/b.png")
    Path("hints.json").write_text('{"a.png": [{"x": 40, "y": 0, "colour": "#c83c3c"}]}')
    code, out, err = command("album", "--output", "out", "--hints", "hints.json")
    assert (code, out) == (1, "1 done, 0 skipped, 1 failed, 0 passed over: out\n")
    assert "error: album/a.png: hint 1 at 40, 0 lies outside the 40 x 30 pixels" in err
    Path("hints.json").write_text('{"d.png": []}')
    code, out, err = command("album", "--output", "new", "--hints", "hints.json")
    assert (code, err) == (2, "error: --hints hints.json: 'd.png' is none of the photos\n")
    Path("hints.json").write_text('{"a.png": 3}')
    code, out, err = command("album", "--output", "new", "--hints", "hints.json")
    assert code == 1 and err == "error: hints.json: a.png: Input should be a valid array\n"
    assert not Path("new").exists()


def test_variants_differ_and_repeat_by_their_seed(command: Run) -> None:
    _photo("old.png")
    code, out, err = command("old.png", "--output", "a", "--variants", 2, "--seed", 5, model=None)
    assert code == 0, err
    assert out.startswith("2 done") and _files("a") == ["old.1.png", "old.2.png"]
    first, second = (Path("a", name).read_bytes() for name in _files("a"))
    assert first != second
    Path("a/old.1.png").unlink()
    again = ("old.png", "--output", "a", "--variants", 3, "--seed", 5, "--skip-existing")
    assert command(*again, model=None)[1].startswith("2 done, 1 skipped")
    assert Path("a/old.1.png").read_bytes() == first
    assert command("old.png", "--output", "b", "--seed", 6, model=None)[0] == 0
    assert _files("b") == ["old.png"] and Path("b/old.png").read_bytes() == second


def test_palettes(command: Run) -> None:
    _photo("old.png")
    sky = np.full((40, 40, 3), (90, 130, 220), np.uint8) + np.uint8(_noise() // 4)
    Image.fromarray(sky).save("sky.png")
    assert command("old.png", "--output", "plain")[0] == 0
    code, _, err = command("old.png", "--output", "out", "--palette", "sky.png")
    assert code == 0, err
    plain, blue = (
        np.asarray(Image.open(f"{name}/old.png")).astype(int) for name in ("plain", "out")
    )
    assert (blue - plain)[..., 2].mean() > (blue - plain)[..., 0].mean() + 5
    Image.fromarray(sky).convert("L").save("gray.png")
    Path("broken.jpg").write_bytes(b"no photo")
    for name, reason in (
        ("gray.png", "--palette gray.png: is gray or nearly gray"),
        ("broken.jpg", "broken.jpg: is not an image"),
        ("none.jpg", "none.jpg: No such file"),
    ):
        code, _, err = command("old.png", "--output", "new", "--palette", name)
        assert code == 1 and err.startswith(f"error: {reason}") and err.count("\n") == 1
    assert not Path("new").exists()


def test_metadata_goes_along(command: Run) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Grandfather"
    exif[ExifTags.Base.Orientation] = 6
    _photo("old.jpg", (40, 30), exif=exif, dpi=(300, 300))
    assert command("old.jpg", "--output", "out")[0] == 0
    with Image.open("out/old.png") as image:
        assert image.size == (30, 40)
        kept = {ExifTags.Base.Artist: "Grandfather", ExifTags.Base.Software: software()}
        assert dict(image.getexif()) == kept
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_skip_existing_goes_on_where_it_stopped(command: Run) -> None:
    for name in ("a", "b"):
        _photo(f"album/{name}.png")
    command("album", "--output", "out")
    Path("out/a.png").write_bytes(b"mine")
    Path("out/b.png").unlink()
    code, out, _ = command("album", "--output", "out", "--skip-existing")
    assert code == 0
    assert out == "1 done, 1 skipped, 0 failed, 0 passed over: out\n"
    assert Path("out/a.png").read_bytes() == b"mine"
    assert command("album", "--output", "out")[1].startswith("2 done, 0 skipped")
    assert Path("out/a.png").read_bytes() != b"mine"


def test_a_folder_is_not_coloured_into_itself(command: Run) -> None:
    _photo("album/a.png")
    code, _, err = command("album", "--output", "album")
    assert code == 2 and "--output album: is a folder of photos" in err
    assert _files("album") == ["a.png"]


def test_inputs_survive_their_own_folder(command: Run) -> None:
    """Files, links to them and hard links: each input has its bytes afterwards."""
    _photo("album/a.png")
    _photo("album/b.jpg")
    Path("album/link.png").symlink_to("a.png")
    os.link("album/a.png", "album/hard.png")
    before = {name: Path("album", name).read_bytes() for name in _files("album")}
    code, out, err = command("album/*", "--output", "album")
    assert code == 0, err
    assert out.startswith("4 done")
    assert {name: Path("album", name).read_bytes() for name in before} == before
    assert Path("album/link.png").is_symlink()
    assert set(_files("album")) - set(before) == {
        "a.png.png",
        "b.png",
        "hard.png.png",
        "link.png.png",
    }


def test_named_things_that_are_no_photos_are_errors(command: Run) -> None:
    Path("notes.txt").write_text("about")
    _photo("old.png")
    code, out, err = command("notes.txt", "none.jpg", "old.png", "--output", "out")
    assert code == 1
    assert out == "1 done, 0 skipped, 2 failed, 0 passed over: out\n"
    assert "error: none.jpg: no such file or folder" in err
    assert "error: notes.txt: is not an image" in err


def test_one_result_that_cannot_be_written(command: Run) -> None:
    _photo("album/a.png")
    _photo("album/b.png")
    Path("out/a.png").mkdir(parents=True)
    code, out, err = command("album", "--output", "out")
    assert code == 1
    assert out == "1 done, 0 skipped, 1 failed, 0 passed over: out\n"
    assert "cannot be written" in err
    assert _files("out") == ["b.png"]


def test_large_photos_wait_in_small_batches(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BATCH_PIXELS", 2000)
    for name in "abcde":
        _photo(f"album/{name}.png", (30, 30))
    _photo("album/large.png", (100, 100))
    assert command("album", "--output", "out")[1].startswith("6 done")


def test_no_photos_at_all(command: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    code, out, err = command("empty", "--output", "out")
    assert (code, out, err) == (1, "", "error: no photos found in empty\n")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["old.png"],
        ["--output", "out"],
        ["old.png", "--output", "out", "--saturation", "-1"],
        ["old.png", "--output", "out", "--saturation", "nan"],
        ["old.png", "--output", "out", "--format", "bmp"],
        ["old.png", "--output", "out", "--batch-size", "0"],
        ["old.png", "--output", "out", "--style", "loud"],
        ["old.png", "--output", "out", "--style", "vivid"],
        ["old.png", "--output", "out", "--seed", "1"],
        ["old.png", "--output", "out", "--seed", "-1"],
        ["old.png", "--output", "out", "--variants", "2"],
        ["old.png", "--output", "out", "--variants", "0"],
    ],
)
def test_wrong_usage(command: Run, arguments: list[str]) -> None:
    _photo("old.png")
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err
    assert not Path("out").exists()


def test_models_that_are_none(command: Run) -> None:
    _photo("old.png")
    code, out, err = command("old.png", "--output", "out", model=Path("none"))
    assert (code, out) == (1, "")
    assert "none: no such folder" in err
    assert err.count("\n") == 1


def test_without_a_model_the_shipped_one_colours(command: Run) -> None:
    _photo("old.png")
    code, _, _ = command("old.png", "--output", "out", "--style", "vivid", model=None)
    assert code == 0 and Path("out/old.png").is_file()


def test_output_that_is_a_file(command: Run) -> None:
    _photo("old.png")
    assert command("old.png", "--output", "old.png")[2] == "error: old.png: is not a folder\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_leave_nothing_half_written(
    tiny_run: Path, tmp_path: Path, number: int, code: int
) -> None:
    for i in range(40):
        _photo(tmp_path / "album" / f"{i:02}.png", (900, 700))
    out = tmp_path / "out"
    inputs = [sys.executable, "-m", "colorizer.colorize", str(tmp_path / "album")]
    process = subprocess.Popen(
        [*inputs, "--output", str(out), "--model", str(tiny_run)],
        cwd=Path(colorize.__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("[0-9]*.png")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    written, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert written == ""
    assert "Traceback" not in errors
    results = list(out.iterdir())
    assert 0 < len(results) < 40
    assert not [path for path in results if path.name.startswith(".")]
    for path in results:
        with Image.open(path) as image:
            image.load()


@pytest.mark.slow
def test_two_at_once_in_one_output_do_no_harm(tiny_run: Path, tmp_path: Path) -> None:
    photos = [_photo(tmp_path / "album" / f"{i:02}.png", (300, 200)) for i in range(30)]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "colorizer.colorize", str(tmp_path / "album")]
    command += ["--output", str(out), "--model", str(tiny_run)]
    root = Path(colorize.__file__).parent.parent
    both = [subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [(one.communicate()[1], one.returncode) for one in both]
    assert [code for _, code in ended] == [0, 0], ended
    assert _files(str(out)) == [photo.name for photo in photos]
    for photo in photos:
        with Image.open(out / photo.name) as image:
            assert image.size == (300, 200)
            image.load()


def test_help_is_fast_and_names_every_option() -> None:
    before = os.times().children_user
    answer = subprocess.run(
        [sys.executable, "-m", "colorizer.colorize", "--help"],
        cwd=Path(colorize.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    # User time of the child: what else runs on this machine does not count.
    assert os.times().children_user - before < 1
    for option in ("INPUT", *(f"--{name}" for name in _option_names())):
        assert option in answer.stdout


def _option_names() -> list[str]:
    fields = colorize.Arguments.model_fields
    return [name.replace("_", "-") for name in fields if name != "inputs"]
