"""Photos of every kind, whole and damaged, as `read_photo` sees them."""

import io
import struct
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from colorizer.images.formats import is_photo, kind_of
from colorizer.images.reading import MAX_PIXELS, decode_photo, read_photo
from pipelines.errors import PhotoError


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _decoded(encoded: bytes) -> np.ndarray:
    return np.asarray(decode_photo(io.BytesIO(encoded), "photo").image)


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A smooth picture, red at the top left, of 60 x 40 pixels."""
    y, x = np.mgrid[0:40, 0:60]
    rgb = np.stack([250 - 3 * x, 40 + 4 * y, 60 + 2 * x], axis=-1).astype(np.uint8)
    return Image.fromarray(rgb)


GOOD = {
    "cmyk.jpg": (320, 240),
    "exif_orientation_6.jpg": (320, 240),
    "gray.jpg": (320, 240),
    "gray_16bit.png": (320, 240),
    "no_extension": (320, 240),
    "one_by_3000.jpg": (1, 3000),
    "one_pixel.jpg": (1, 1),
    "palette.gif": (320, 240),
    "png_renamed.jpg": (320, 240),
    "progressive.jpg": (320, 240),
    "rgb_16bit.png": (320, 240),
    "rgba.png": (320, 240),
    "trailing_garbage.jpg": (320, 240),
    "ảnh cũ của bà ngoại – Huế 1968.jpg": (320, 240),
}
BAD = {
    "claims_60000x60000.png": "claims 60000 x 60000 pixels",
    "html_renamed.jpg": "not an image",
    "truncated.jpg": "cut off",
    "truncated_in_header.jpg": "cut off",
    "zero_bytes.jpg": "empty",
}


def test_every_awkward_file_is_known(shared_photos: Path) -> None:
    names = {path.name for path in (shared_photos / "bad_images").iterdir()} - {"README.md"}
    assert names == GOOD.keys() | BAD.keys()


@pytest.mark.parametrize("name", GOOD)
def test_awkward_but_good_files(shared_photos: Path, name: str) -> None:
    photo = read_photo(shared_photos / "bad_images" / name)
    assert photo.image.mode == "RGB"
    assert photo.image.size == GOOD[name]


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_errors_that_name_them(shared_photos: Path, name: str) -> None:
    with pytest.raises(PhotoError, match=BAD[name]) as caught:
        read_photo(shared_photos / "bad_images" / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


COLOURED = ("cmyk.jpg", "exif_orientation_6.jpg", "palette.gif", "rgb_16bit.png")


@pytest.mark.parametrize("name", COLOURED)
def test_same_colours_however_stored(shared_photos: Path, name: str) -> None:
    plain = read_photo(shared_photos / "bad_images" / "progressive.jpg").image
    other = read_photo(shared_photos / "bad_images" / name).image
    difference = np.abs(np.asarray(plain).astype(int) - np.asarray(other)).mean()
    assert difference < 8


@pytest.mark.parametrize("name", ["gray.jpg", "gray_16bit.png"])
def test_gray_keeps_its_tones(shared_photos: Path, name: str) -> None:
    plain = read_photo(shared_photos / "bad_images" / "progressive.jpg").image.convert("L")
    gray = np.asarray(read_photo(shared_photos / "bad_images" / name).image)
    assert (gray[..., 0] == gray[..., 1]).all()
    assert np.abs(gray[..., 0].astype(int) - np.asarray(plain)).mean() < 8


def test_bomb_is_refused_at_once(shared_photos: Path) -> None:
    start = time.monotonic()
    with pytest.raises(PhotoError):
        read_photo(shared_photos / "bad_images" / "claims_60000x60000.png")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(("width", "reason"), [(19_999, "cut off"), (20_001, "limit is 200 mill")])
def test_pixel_limit_is_ours_and_pillows_is_restored(
    scene: Image.Image, width: int, reason: str
) -> None:
    """Just below the limit the header passes, and the pixels turn out to be missing."""
    before = Image.MAX_IMAGE_PIXELS
    header = b"IHDR" + struct.pack(">II", width, 10_000) + b"\1" + bytes(4)
    png = _encoded(scene, "PNG")
    claiming = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
    with pytest.raises(PhotoError, match=reason):
        decode_photo(io.BytesIO(claiming), "wide.png")
    assert before == Image.MAX_IMAGE_PIXELS
    assert MAX_PIXELS == 200_000_000


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(scene: Image.Image, format: str, orientation: int) -> None:
    # How a picture must be stored for each orientation to show it upright.
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    turned = scene if stored is None else scene.transpose(stored)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}
    encoded = _encoded(turned, format, exif=exif, **options.get(format, {}))
    difference = np.abs(_decoded(encoded).astype(int) - np.asarray(scene))
    assert difference.max() <= (12 if format == "JPEG" else 0)
    kept = Image.Exif()
    kept.load(decode_photo(io.BytesIO(encoded), "photo").exif)
    assert ExifTags.Base.Orientation not in kept


def test_16_bit_gray_is_scaled_and_turned() -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    gray = _decoded(_encoded(Image.fromarray(ramp), "PNG"))
    assert (gray == np.arange(256).reshape(16, 16, 1)).all()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    turned = _decoded(_encoded(Image.fromarray(ramp), "PNG", exif=exif))
    assert (turned == gray[::-1, ::-1]).all()


@pytest.mark.parametrize(
    ("byte_order", "bits", "white_is_zero"),
    [("<", 16, False), (">", 16, False), ("<", 16, True), ("<", 12, False)],
)
def test_16_bit_tiff(byte_order: str, bits: int, white_is_zero: bool) -> None:
    values = np.array([0, 2**bits // 4, 2**bits // 2, 2**bits - 1])
    if bits == 16:
        data = values.astype(byte_order + "u2").tobytes()
    else:
        packed = "".join(f"{value:012b}" for value in values)
        data = int(packed, 2).to_bytes(6, "big")
    gray = _decoded(_tiff(byte_order, data, bits, photometric=0 if white_is_zero else 1))
    expected = np.rint(values / (2**bits - 1) * 255)
    assert gray[0, :, 0].tolist() == (255 - expected if white_is_zero else expected).tolist()


def _tiff(byte_order: str, data: bytes, bits: int, photometric: int) -> bytes:
    """A TIFF of one row of four gray pixels, written tag by tag."""
    tags = [
        (256, 4),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, len(data)),
    ]
    body = data + bytes(len(data) % 2)
    directory = struct.pack(byte_order + "H", len(tags))
    for tag, value in tags:
        directory += struct.pack(byte_order + "HHIHH", tag, 3, 1, value, 0)
    head = b"II*\0" if byte_order == "<" else b"MM\0*"
    offset = struct.pack(byte_order + "I", 8 + len(body))
    return head + offset + body + directory + bytes(4)


def test_16_bit_rgb_png_is_scaled(shared_photos: Path) -> None:
    deep = np.asarray(read_photo(shared_photos / "bad_images" / "rgb_16bit.png").image)
    plain = np.asarray(read_photo(shared_photos / "bad_images" / "png_renamed.jpg").image)
    assert np.abs(deep.astype(int) - plain).max() <= 1


def test_32_bit_samples_are_refused() -> None:
    encoded = _encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(PhotoError, match="32 bits"):
        decode_photo(io.BytesIO(encoded), "deep.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white_and_said(mode: str) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 51, 255
    image = Image.fromarray(rgba).convert(mode)
    photo = decode_photo(io.BytesIO(_encoded(image, "PNG")), "clear.png")
    assert np.asarray(photo.image)[0, :, 1].tolist() == [255, 204, 0]
    assert photo.notes == ("its transparent parts are laid on white",)


def test_opaque_alpha_is_not_worth_a_note(scene: Image.Image) -> None:
    photo = decode_photo(io.BytesIO(_encoded(scene.convert("RGBA"), "PNG")), "opaque.png")
    assert (np.asarray(photo.image) == np.asarray(scene)).all()
    assert photo.notes == ()


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_transparent_colour(mode: str) -> None:
    image = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).convert(mode)
    black = {"L": 0, "RGB": (0, 0, 0), "P": image.getpixel((0, 0)), "1": 0}[mode]
    photo = decode_photo(io.BytesIO(_encoded(image, "PNG", transparency=black)), "hole.png")
    assert np.asarray(photo.image).min() == 255
    assert "white" in photo.notes[0]


def test_transparent_16_bit_gray() -> None:
    deep = _encoded(Image.fromarray(np.array([[0, 514]], np.uint16)), "PNG", transparency=0)
    assert _decoded(deep)[0, :, 0].tolist() == [255, 2]


def test_srgb_profile_changes_nothing(scene: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    encoded = _encoded(scene, "PNG", icc_profile=profile)
    assert (_decoded(encoded) == np.asarray(scene)).all()


def test_other_profile_is_converted(scene: Image.Image) -> None:
    """Lab under D50 by LittleCMS's own numbers: a profile whose answer is known otherwise."""
    lab = ImageCms.profileToProfile(
        scene,
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    difference = np.abs(_decoded(_encoded(lab, "TIFF")).astype(int) - np.asarray(scene))
    assert difference.mean() < 2


def test_linear_profile_is_converted() -> None:
    """An RGB profile with gamma 1: value 55 is 21.6 % of white's light, sRGB 128."""
    encoded = _encoded(Image.new("RGB", (4, 4), (55, 55, 55)), "PNG", icc_profile=_linear_profile())
    assert np.abs(_decoded(encoded).astype(int) - 128).max() <= 1
    gray = _encoded(Image.new("L", (4, 4), 55), "PNG", icc_profile=_linear_profile())
    assert np.abs(_decoded(gray).astype(int) - 128).max() <= 1


def _linear_profile() -> bytes:
    """LittleCMS's sRGB profile with each tone curve made a straight line."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", profile[128:132])
    for entry in range(132, 132 + 12 * count, 12):
        name, offset, _ = struct.unpack(">4sII", profile[entry : entry + 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 12] = b"curv" + bytes(8)
    return bytes(profile)


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, b"x" * 100_000])
def test_damaged_profile_is_noted(scene: Image.Image, profile: bytes) -> None:
    photo = decode_photo(io.BytesIO(_encoded(scene, "PNG", icc_profile=profile)), "photo")
    assert (np.asarray(photo.image) == np.asarray(scene)).all()
    assert "colour profile is damaged" in photo.notes[0]


def test_profile_for_other_colours_is_noted(scene: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    photo = decode_photo(io.BytesIO(_encoded(scene, "PNG", icc_profile=profile)), "photo")
    assert (np.asarray(photo.image) == np.asarray(scene)).all()
    assert photo.notes == ("its colour profile is one for Lab and not used",)


WHOLE = {
    "JPEG": {},
    "progressive": {"format": "JPEG", "progressive": True},
    "PNG": {},
    "TIFF": {},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "WEBP": {},
    "GIF": {},
    "BMP": {},
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.1, 0.55, 0.97])
def test_cut_off_files_are_errors(kind: str, share: float) -> None:
    options = {"format": kind, **WHOLE[kind]}
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    encoded = _encoded(Image.fromarray(noise), **options)
    assert _decoded(encoded).shape == (40, 60, 3)
    with pytest.raises(PhotoError, match="damaged or cut off"):
        decode_photo(io.BytesIO(encoded[: int(len(encoded) * share)]), "cut")


def test_random_damage_never_escapes_as_another_error(scene: Image.Image) -> None:
    random = np.random.default_rng(0)
    for kind in WHOLE:
        whole = _encoded(scene, **{"format": kind, **WHOLE[kind]})
        for _ in range(20):
            damaged = bytearray(whole)
            for place in random.integers(0, len(damaged), 5):
                damaged[place] = random.integers(256)
            try:
                photo = decode_photo(io.BytesIO(bytes(damaged)), "damaged")
            except PhotoError:
                continue
            assert photo.image.mode == "RGB"


def test_decoder_warnings_become_notes(scene: Image.Image) -> None:
    encoded = bytearray(_encoded(scene, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = decode_photo(io.BytesIO(bytes(encoded)), "photo.jpg")
    assert any("EXIF" in note for note in photo.notes)
    assert photo.image.size == scene.size


def test_each_thread_gets_its_own_photos_warnings(scene: Image.Image) -> None:
    odd = _encoded(scene, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0")
    files = [odd, _encoded(scene, "JPEG")] * 40
    before = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(4) as threads:
        photos = list(threads.map(lambda file: decode_photo(io.BytesIO(file), "photo"), files))
    assert [bool(photo.notes) for photo in photos] == [True, False] * 40
    assert (list(warnings.filters), warnings.showwarning) == before


def test_first_of_several_pictures(scene: Image.Image) -> None:
    second = Image.new("RGB", scene.size)
    encoded = _encoded(scene, "TIFF", save_all=True, append_images=[second])
    photo = decode_photo(io.BytesIO(encoded), "pages.tif")
    assert (np.asarray(photo.image) == np.asarray(scene)).all()
    assert photo.notes == ("holds several pictures: the first is taken",)


def test_missing_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="No such file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotoError, match="not a regular file"):
        read_photo(tmp_path)


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match=r"photo-colorizer\[heic\]"):
        decode_photo(io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(40)), "phone.heic")


def test_heic_with_the_extra(scene: Image.Image) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    encoded = _encoded(scene, "HEIF", quality=95)
    assert np.abs(_decoded(encoded).astype(int) - np.asarray(scene)).mean() < 4


def test_kind_is_told_by_content(tmp_path: Path, scene: Image.Image) -> None:
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        assert kind_of(_encoded(scene, kind)[:64]) == kind
    for text in (b"", b"BM or not BM, that is the question", b"<html>", b"RIFF....WAVE"):
        assert kind_of(text) is None
    (tmp_path / "album").write_bytes(_encoded(scene, "PNG"))
    (tmp_path / "notes.txt").write_text("about a photo")
    (tmp_path / "empty.JPG").touch()
    found = [path.name for path in sorted(tmp_path.iterdir()) if is_photo(path)]
    assert found == ["album", "empty.JPG"]
