"""Coloured photos on their way to files, and the metadata that goes with them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from colorizer.images.metadata import MAX_EXIF_BYTES, kept_exif, kept_resolution
from colorizer.images.provenance import Provenance, software, xmp_packet
from colorizer.images.reading import decode_photo
from colorizer.images.writing import JPEG_MAX_SIDE, write_photo
from pipelines.errors import PhotoError


@pytest.fixture
def picture() -> Image.Image:
    y, x = np.mgrid[0:48, 0:64]
    rgb = np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], axis=-1)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def _rich_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Kiev"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "Grandmother"
    exif[ExifTags.Base.Software] = "ScanTool 2"
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    shot[ExifTags.Base.DateTimeOriginal] = "1968:05:04 12:00:00"
    shot[ExifTags.Base.ExposureTime] = TiffImagePlugin.IFDRational(1, 125)
    shot[ExifTags.Base.MakerNote] = b"secret offsets"
    shot[ExifTags.Base.ExifImageWidth] = 9999
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def _through_a_file(image: Image.Image, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, **options)
    return Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("source", ["JPEG", "TIFF", "PNG"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_metadata_worth_keeping_arrives(
    picture: Image.Image, tmp_path: Path, source: str, suffix: str
) -> None:
    file = io.BytesIO()
    picture.save(file, source, exif=_rich_exif().tobytes(), dpi=(300, 300))
    photo = decode_photo(io.BytesIO(file.getvalue()), "source")
    assert photo.notes == ()
    path = tmp_path / f"coloured{suffix}"
    write_photo(photo.image, path, exif=photo.exif, resolution=photo.resolution)
    with Image.open(path) as written:
        written.load()
        assert written.size == (48, 64)
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        exif = written.getexif()
        assert dict(exif).keys() <= {270, 271, 305, 34665, 34853}
        assert exif[ExifTags.Base.Make] == "Kiev"
        assert exif[ExifTags.Base.Software] == f"{software()} (before: ScanTool 2)"
        shot = exif.get_ifd(ExifTags.IFD.Exif)
        assert shot[ExifTags.Base.DateTimeOriginal] == "1968:05:04 12:00:00"
        assert float(shot[ExifTags.Base.ExposureTime]) == pytest.approx(1 / 125)
        assert ExifTags.Base.MakerNote not in shot
        assert ExifTags.Base.ExifImageWidth not in shot
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_no_metadata_stays_none(picture: Image.Image) -> None:
    notes: list[str] = []
    assert kept_exif(_through_a_file(picture, format="TIFF"), notes) == b""
    assert kept_resolution(_through_a_file(picture, format="PNG")) is None
    assert notes == []


def test_exif_too_long_for_jpeg_is_noted(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "a" * (MAX_EXIF_BYTES + 1)
    notes: list[str] = []
    assert kept_exif(_through_a_file(picture, format="PNG", exif=exif), notes) == b""
    assert notes == ["its EXIF data is too long and left out"]


@pytest.mark.parametrize("dpi", [(0, 0), (300, 150), (float("nan"),) * 2, 300, (1e9, 1e9)])
def test_odd_resolutions_are_not_kept(picture: Image.Image, dpi: object) -> None:
    picture.info["dpi"] = dpi
    assert kept_resolution(picture) is None


def test_png_is_exact_and_says_what_it_is(picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "ảnh – 1.png"
    picture.info.update(icc_profile=b"old profile", transparency=(0, 0, 0))
    write_photo(picture, path)
    with Image.open(path) as written:
        assert (np.asarray(written) == np.asarray(picture)).all()
        xmp = xmp_packet(Provenance())
        assert written.info == {
            "srgb": 0,
            "Software": software(),
            "Comment": Provenance().remark,
            "XML:com.adobe.xmp": xmp.decode(),
            "xmp": xmp,
        }


def test_jpeg_is_fine_and_says_what_it_is(picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "coloured.jpg"
    write_photo(picture, path)
    with Image.open(path) as written:
        assert written.info["comment"] == Provenance().remark.encode()
        assert [component[1:3] for component in written.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(written).astype(int) - np.asarray(picture)).mean() < 1.5


def test_same_photo_same_bytes(picture: Image.Image, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_photo(picture, tmp_path / name, exif=_rich_exif().tobytes())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(
    picture: Image.Image, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhotoError, match="cannot be written"):
        write_photo(picture, tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PhotoError, match="cannot be written"):
        write_photo(picture, tmp_path / "folder.png")
    with pytest.raises(PhotoError, match="use png"):
        write_photo(Image.new("RGB", (JPEG_MAX_SIDE + 1, 1)), tmp_path / "long.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_wrong_calls_are_refused(picture: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.jpg"):
        write_photo(picture, tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="mode RGB, got L"):
        write_photo(picture.convert("L"), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
