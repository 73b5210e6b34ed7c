"""Films in the command: bad ones are named, names do not collide, signals and full disks."""

import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from film_making import Recipe, frame_times, make_film

Run = Callable[..., tuple[int, str, str]]


def test_bad_films_are_named_and_the_rest_goes_on(
    command: Run, photo: np.ndarray, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    (album / "summer").mkdir(parents=True)
    make_film(album / "summer" / "lake.mp4", photo)
    cv2.imwrite(str(album / "lake.jpg"), photo)
    (album / "empty.mp4").touch()
    (album / "text.mkv").write_text("no film at all\n" * 100)
    with av.open(album / "sound.mkv", "w") as film:
        sound = film.add_stream("flac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), "s16", "mono")
        samples.sample_rate, samples.pts = 8000, 0
        film.mux(sound.encode(samples))
        film.mux(sound.encode())
    code, out, err = command("album", "--output", "out")
    assert code == 1
    assert out == "2 done, 0 skipped, 3 failed, 0 passed over: out\n"
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    invalid = "Invalid data found when processing input"
    assert sorted(lines) == [
        "error: album/empty.mp4: is empty (0 bytes)",
        "error: album/sound.mkv: holds no picture, only other streams",
        f"error: album/text.mkv: is no film, or is damaged ({invalid})",
    ]
    assert "Traceback" not in err
    written = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*"))
    assert written == ["lake.png", "summer", "summer/lake.mp4"]
    assert command("album/summer", "--output", "out", "--skip-existing")[1].startswith("1 done")
    assert command("album/summer", "--output", "out", "--skip-existing")[1].startswith(
        "0 done, 1 s"
    )


def test_films_of_one_name_get_names_of_their_own(
    command: Run, photo: np.ndarray, tmp_path: Path
) -> None:
    still = Recipe(times=range(3), time_base=Fraction(1, 25), codec="mpeg4", sound=False)
    for name in ("lake.avi", "lake.mkv", "lake.mp4"):
        make_film(tmp_path / name, photo, still)
    code, _, err = command("lake.avi", "lake.mkv", "lake.mp4", "--output", "out")
    assert code == 0, err
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "lake.avi.mkv",
        "lake.mkv.mkv",
        "lake.mp4",
    ]
    # Beside themselves they would be overwritten.
    code, _, err = command("lake.mp4", "--output", ".")
    assert code == 0, err
    assert frame_times(tmp_path / "lake.mp4.mp4") == frame_times(tmp_path / "lake.mp4")


def test_the_missing_extra_is_one_line(
    command: Run, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_film(tmp_path / "old.mp4", photo)
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = command("old.mp4", "--output", "out")
    assert (code, err) == (1, "error: to colour films, pip install 'photo-colorizer[video]'\n")


@pytest.mark.slow
def test_sigterm_keeps_what_is_whole(tiny_run: Path, photo: np.ndarray, tmp_path: Path) -> None:
    times = tuple(range(0, 800 * 512, 512))
    path = make_film(tmp_path / "old.mp4", np.tile(photo, (1, 6)), Recipe(times, sound=False))
    words = ["colorizer.colorize", str(path), "--output", str(tmp_path / "out")]
    words = [sys.executable, "-m", *words, "--model", str(tiny_run), "--skip-existing"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.*/000000.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=30) == 143
    (folder,) = (tmp_path / "out").iterdir()
    assert not list(folder.glob("*partial*"))
    kept = len(list(folder.glob("*.nut")))
    assert kept >= 1
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert frame_times(tmp_path / "out" / "old.mp4") == frame_times(path)


def test_a_full_disk_is_one_line(tiny_run: Path, photo: np.ndarray, tmp_path: Path) -> None:
    path = make_film(tmp_path / "old.mp4", photo)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000));"
        "from colorizer import colorize; colorize.main()"
    )
    words = [str(path), "--output", str(tmp_path / "out"), "--model", str(tiny_run)]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert errors[0].endswith("old.mp4: cannot be written: File too large"), errors
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out/*.mp4"))
