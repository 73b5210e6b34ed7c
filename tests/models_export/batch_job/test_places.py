"""What a job keeps in its output while it runs, and how errors of file systems are worded."""

import errno

import pytest
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from models_export.batch_job.places import in_words, temporary_deleted
from pipelines.errors import ColorizerError, PhotoError


def test_what_is_temporary_goes_however_a_job_ends(tmp_path):
    def begun() -> str:
        (tmp_path / "beam-temp-errors-7" / "deep").mkdir(parents=True)
        (tmp_path / "beam-temp-errors-7" / "deep" / "part").touch()
        return f"{tmp_path}/"

    with temporary_deleted(begun()):
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), temporary_deleted(begun()):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_deleted_hides_no_earlier_error(tmp_path):
    # Beam deletes no link to nowhere.
    (tmp_path / "beam-temp-errors-7").symlink_to("nowhere")
    with (
        pytest.raises(ColorizerError, match="cannot be cleared"),
        temporary_deleted(f"{tmp_path}/"),
    ):
        pass
    with pytest.raises(PhotoError, match="no room"), temporary_deleted(f"{tmp_path}/"):
        raise PhotoError("lake.jpg", "no room")


def test_errors_of_beams_file_systems_are_said_as_the_system_said_them(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        FileSystems.mkdirs(f"{tmp_path}/file/folder")
    assert in_words(refused.value) == "Not a directory"
    of_many = BeamIOError("Rename failed", {"a": OSError(errno.ENOSPC, "No space left on device")})
    assert in_words(of_many) == "No space left on device"
    assert in_words(BeamIOError("Rename failed")) == "Rename failed with exceptions None"
    assert in_words(ValueError("no\nsuch")) == "no such"
