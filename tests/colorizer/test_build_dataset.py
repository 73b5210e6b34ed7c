"""The command that builds datasets: what it says, and where the dataset lies."""

from pathlib import Path

import pytest

from colorizer.build_dataset import BuildArguments, _command, build
from colorizer.locks import used_alone
from pipelines.errors import ColorizerError, NoPhotosError, UsageError


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_folder_becomes_a_dataset_once(sample_photos, data_dir, capfd):
    arguments = BuildArguments(dataset="photo_folder", source=sample_photos, name="samples")
    folder = data_dir / "photo_folder" / "samples"
    # What a kill leaves behind.
    (folder / "incomplete.ABC123_1.0.0").mkdir(parents=True)
    with used_alone(folder), pytest.raises(ColorizerError, match="another process is at work"):
        build(arguments)
    assert build(arguments) == folder / "1.0.0"
    assert [path.name for path in folder.iterdir()] == ["1.0.0"]
    told = capfd.readouterr()
    assert told.out == ""
    assert "validation: 8 photos\n" in told.err and "train: 40 photos" in told.err
    with pytest.raises(ColorizerError, match="is built already"):
        build(arguments)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(ColorizerError, match="nowhere: no such folder"):
        build(BuildArguments(dataset="sports100", source=tmp_path / "nowhere"))
    with pytest.raises(NoPhotosError, match="holds none of sports-classification"):
        build(BuildArguments(dataset="sports100", source=tmp_path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sports100", "--source", ".", "--name", "a"], "for photo_folder only"),
        (["photo_folder", "--source", ".", "--name", "crop"], "--name crop"),
        (["photo_folder", "--source", ".", "--name", "../a"], "--name ../a"),
    ],
)
def test_names_that_will_not_do_are_refused(words, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["build_dataset", "--dataset", *words])
    with pytest.raises(UsageError, match=message):
        _command()
