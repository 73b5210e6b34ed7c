"""scripts/link_photos.py on a few files."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "link_photos.py"


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def photos(tmp_path) -> Path:
    for number in range(5):
        file = tmp_path / "photos" / f"kind{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
    return tmp_path / "photos"


def contents(folder: Path) -> list[str]:
    return sorted(file.read_text() for file in folder.rglob("*.jpg"))


def test_a_folder_named_twice_is_there_twice_and_halves_part_the_rest(photos, tmp_path):
    words = ["--whole", photos / "kind0", photos / "kind0", "--halves", photos]
    for half in ("even", "odd"):
        done = command(*words, "--half", half, "--output", tmp_path / half)
        assert done.returncode == 0, done.stderr
    twice = ["0", "0", "2", "2", "4", "4"]
    assert contents(tmp_path / "even") == sorted([*twice, "0", "4", "3"])
    assert contents(tmp_path / "odd") == sorted([*twice, "2", "1"])
    assert "8 photos linked" in done.stderr


def test_a_folder_that_is_there_is_kept(photos, tmp_path):
    words = ["--whole", photos, "--output", tmp_path / "out"]
    command(*words)
    (photos / "kind0" / "6.jpg").write_text("6")
    done = command(*words)
    assert done.returncode == 0 and "is there" in done.stderr
    assert len(contents(tmp_path / "out")) == 5


def test_a_folder_without_photos_is_named_and_nothing_is_left(photos, tmp_path):
    done = command("--whole", photos, tmp_path / "absent", "--output", tmp_path / "out")
    assert (
        done.returncode == 1
        and f"{tmp_path / 'absent'}: holds no .jpg or .jpeg file" in done.stderr
    )
    assert list(tmp_path.iterdir()) == [photos]
