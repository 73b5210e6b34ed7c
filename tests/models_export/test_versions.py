from collections.abc import Callable
from pathlib import Path

import pytest

from models_export.versions import check_place, next_version, publish
from pipelines.errors import ColorizerError, NotWrittenError, UsageError


def fill(folder: Path) -> None:
    (folder / "saved_model.pb").write_text("whole", encoding="utf-8")


def test_next_version_follows_the_highest_number(tmp_path: Path) -> None:
    assert next_version(tmp_path / "absent") == 1
    for name in ("1", "9", "10", ".11.partial", "v12", "²"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


def test_publish_counts_up_and_leaves_only_versions(tmp_path: Path) -> None:
    base = tmp_path / "new" / "base"
    assert publish(base, "colorizer", None, fill) == base / "colorizer" / "1"
    assert publish(base, "colorizer", 5, fill) == base / "colorizer" / "5"
    assert publish(base, "colorizer", None, fill) == base / "colorizer" / "6"
    assert sorted(child.name for child in (base / "colorizer").iterdir()) == ["1", "5", "6"]
    assert (base / "colorizer" / "6" / "saved_model.pb").read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize("error", [ColorizerError("differs"), KeyboardInterrupt(), SystemExit(1)])
def test_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        (folder / "variables").mkdir()
        fill(folder)
        raise error

    with pytest.raises(type(error)):
        publish(tmp_path / "new" / "base", "colorizer", None, fail)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path: Path) -> None:
    publish(tmp_path, "colorizer", None, fill)

    def fail(folder: Path) -> None:
        raise ColorizerError("differs")

    with pytest.raises(ColorizerError, match="differs"):
        publish(tmp_path, "colorizer", None, fail)
    assert [child.name for child in (tmp_path / "colorizer").iterdir()] == ["1"]


def test_existing_version_is_never_overwritten(tmp_path: Path) -> None:
    folder = publish(tmp_path, "colorizer", 3, fill)
    (folder / "saved_model.pb").write_text("first", encoding="utf-8")
    with pytest.raises(ColorizerError, match="3: this version exists already"):
        publish(tmp_path, "colorizer", 3, fill)
    assert (folder / "saved_model.pb").read_text(encoding="utf-8") == "first"


@pytest.mark.parametrize("made_by_rival", [fill, lambda folder: None])
def test_rival_that_takes_the_number_meanwhile_keeps_it(
    tmp_path: Path, made_by_rival: Callable[[Path], None]
) -> None:
    def overtaken(folder: Path) -> None:
        fill(folder)
        rival = tmp_path / "colorizer" / "1"
        rival.mkdir(exist_ok=True)
        made_by_rival(rival)

    assert publish(tmp_path, "colorizer", None, overtaken).name == "2"
    with pytest.raises(ColorizerError, match="exists already"):
        publish(tmp_path, "colorizer", 1, overtaken)
    assert sorted(child.name for child in (tmp_path / "colorizer").iterdir()) == ["1", "2"]


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "colorizer" / f".{'0' * 32}.partial"
    left.mkdir(parents=True)
    fill(left)
    publish(tmp_path, "colorizer", None, fill)
    assert [child.name for child in (tmp_path / "colorizer").iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "-x"])
def test_name_must_be_a_plain_folder_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name must be"):
        check_place(tmp_path, name, None)


def test_version_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="version must be 1 or more, got 0"):
        check_place(tmp_path, "colorizer", 0)


def test_output_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(NotWrittenError, match=r"colorizer: cannot be written: Not a directory"):
        publish(tmp_path / "saved_model.pb", "colorizer", None, fill)
    assert (tmp_path / "saved_model.pb").read_text(encoding="utf-8") == "whole"
