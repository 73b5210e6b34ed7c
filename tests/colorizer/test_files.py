import errno
import json
import os

import pytest

from colorizer.files import replacing, write_json
from pipelines.errors import NotWrittenError


def test_written_whole_in_place_of_the_old(tmp_path):
    path = tmp_path / "deeper" / "new.json"
    write_json(path, {"tên": "Huế"})
    write_json(path, {"tên": "Hà Nội"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"tên": "Hà Nội"}
    assert [file.name for file in path.parent.iterdir()] == ["new.json"]


def test_file_names_that_are_no_utf_8_come_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "names.json", [name])
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == [name]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), NotWrittenError),
        (OSError("encoder error"), NotWrittenError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_error_leaves_the_old_and_nothing_else(tmp_path, error, raised):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(raised) as caught, replacing(path) as beside:
        beside.write_text("half")
        raise error
    if raised is NotWrittenError:
        reason = error.strerror or "encoder error"
        assert str(caught.value) == f"{path}: cannot be written: {reason}"
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]


def test_names_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ("x" * 250 + ".png")
    with replacing(path) as beside:
        assert beside.suffix == ".png"
        beside.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
