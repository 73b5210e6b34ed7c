"""Locks between processes, and what killed ones have left."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from colorizer import locks
from colorizer.files import replacing
from colorizer.locks import marked, partial_path, used_alone
from pipelines.errors import ColorizerError, NotWrittenError

# Holds a folder and a half-written file in it until it is killed.
HOLDER = """
import sys, time
from pathlib import Path
from colorizer.files import replacing
from colorizer.locks import used_alone
folder = Path(sys.argv[1])
with used_alone(folder), replacing(folder / "photo.png") as beside:
    beside.write_bytes(b"half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(autouse=True)
def another_process():
    """Forgets in which folders this process has looked for what others have left."""
    locks._sweep.cache_clear()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_held_once(tmp_path, holder):
    with (
        pytest.raises(ColorizerError, match="another process is at work in it"),
        used_alone(tmp_path),
    ):
        pytest.fail("was let in")
    assert holder.poll() is None


def test_the_lock_of_a_killed_process_is_in_nobodys_way(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert ".lock" in names(tmp_path)
    with used_alone(tmp_path):
        assert ".lock" in names(tmp_path)
    assert ".lock" not in names(tmp_path)


def test_what_is_half_written_is_removed_when_its_writer_is_gone(tmp_path, holder):
    with replacing(tmp_path / "a.png") as beside:
        beside.write_bytes(b"whole")
    (half,) = names(tmp_path) - {"a.png", ".lock"}
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with replacing(tmp_path / "b.png") as beside:
        beside.write_bytes(b"whole")
    assert half in names(tmp_path)  # This process has looked already.
    another = "import sys; from pathlib import Path; from colorizer.files import write_text\n"
    another += "write_text(Path(sys.argv[1]) / 'c.txt', 'whole')"
    subprocess.run([sys.executable, "-c", another, str(tmp_path)], check=True)
    assert names(tmp_path) == {"a.png", "b.png", "c.txt", ".lock"}


def test_folders_that_are_not_whole_and_names_of_others(tmp_path):
    left, mine = tmp_path / f".{'0' * 32}.partial", tmp_path / ".notes.partial"
    for folder in (left, mine):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"half")
    kept = tmp_path / f".{'1' * 32}.partial"
    kept.mkdir()
    with marked(kept):
        partial_path(tmp_path)
    assert names(tmp_path) == {mine.name, kept.name}


def test_a_lock_file_that_its_holder_removes_at_that_moment_is_made_anew(tmp_path, monkeypatch):
    lock, descriptors = locks.lock, []

    def lock_what_is_removed(descriptor: int) -> None:
        if not descriptors:
            (tmp_path / ".lock").unlink()
        descriptors.append(descriptor)
        lock(descriptor)

    monkeypatch.setattr(locks, "lock", lock_what_is_removed)
    with used_alone(tmp_path):
        assert names(tmp_path) == {".lock"} and len(descriptors) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("none")
    deep = tmp_path / "file" / "deep"
    told = pytest.raises(NotWrittenError, match=r"file/deep: cannot be written: Not a directory")
    with told, used_alone(deep):
        pytest.fail("was let in")


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, capsys):
    def none(descriptor: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "lock", none)
    left = tmp_path / f".{'0' * 32}.partial.png"
    left.touch()
    with used_alone(tmp_path), replacing(tmp_path / "a.txt") as beside:
        beside.write_text("whole")
    assert "cannot be locked (Operation not supported)" in capsys.readouterr().err
    assert names(tmp_path) == {"a.txt", left.name}
