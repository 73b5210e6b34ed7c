from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import photo_files
from pipelines.errors import PhotoError
from pipelines.photo_files import find_jpegs, inspect_header


def write_photo(path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path, "JPEG", **options)
    return path


def test_finds_jpegs_of_any_letter_case_in_any_depth_sorted(tmp_path):
    names = ["b.JPG", "a/deep/er.jpeg", "c.JpEg", "ảnh cũ.jpg"]
    for name in names:
        write_photo(tmp_path / name)
    write_photo(tmp_path / ".hidden/x.jpg")
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    assert find_jpegs(tmp_path) == sorted(tmp_path / name for name in names)


def test_a_link_that_leads_nowhere_is_listed_and_refused(tmp_path):
    link = tmp_path / "lost.jpg"
    link.symlink_to(tmp_path / "gone.jpg")
    assert find_jpegs(tmp_path) == [link]
    with pytest.raises(PhotoError, match="No such file"):
        inspect_header(link)


def test_header_tells_orientation_and_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_photo(tmp_path / "turned.jpg", exif=exif)
    file = inspect_header(path)
    assert (file.orientation, file.bytes) == (6, path.stat().st_size)


def test_odd_orientation_counts_as_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    assert inspect_header(write_photo(tmp_path / "odd.jpg", exif=exif)).orientation == 1


def test_claiming_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_files, "MAX_PIXELS", 599)
    with pytest.raises(PhotoError, match="claims more than"):
        inspect_header(write_photo(tmp_path / "large.jpg"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("png_renamed.jpg", "named JPEG but holds PNG"),
        ("html_renamed.jpg", "not an image"),
        ("zero_bytes.jpg", "empty file"),
        ("truncated_in_header.jpg", "cannot be read|damaged"),
    ],
)
def test_bad_headers_are_refused_with_their_reason(shared_photos, name, reason):
    path = shared_photos / "bad_images" / name
    with pytest.raises(PhotoError, match=reason) as caught:
        inspect_header(path)
    assert caught.value.path == path


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(PhotoError, match="No such file"):
        inspect_header(tmp_path / "gone.jpg")
