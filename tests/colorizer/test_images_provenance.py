"""What coloured pictures say of themselves."""

import io
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from colorizer.images import provenance
from colorizer.images.metadata import with_software
from colorizer.images.provenance import Provenance, encoded_png_chunks, marked_png
from colorizer.images.reading import decode_photo
from colorizer.images.writing import write_photo
from pipelines.errors import ColorizerError, PhotoError
from pipelines.machine_made import is_machine_made
from pipelines.photo_files import inspect_header

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
SHA256 = "0123456789abcdef" * 4
LITE = Provenance("lite", SHA256).with_settings(style="vivid", saturation="1.4")


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype("u1"))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_programs_and_people_are_told(picture: Image.Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"coloured{suffix}"
    write_photo(picture, path, provenance=LITE)
    with Image.open(path) as written:
        xmp, info, exif = written.info["xmp"], written.info, written.getexif()
    root = ElementTree.fromstring(xmp.decode().removeprefix("\ufeff"))
    (source_type,) = root.iter(f"{IPTC}DigitalSourceType")
    assert source_type.text == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )
    (parameters,) = root.iter(f"{EVENT}parameters")
    assert parameters.text == (
        f"colorized: network lite, weights SHA-256 {SHA256}, style vivid, saturation 1.4"
    )
    (agent,) = root.iter(f"{EVENT}softwareAgent")
    assert agent.text == provenance.software() and agent.text.startswith("photo-colorizer 0.")
    comment = info["Comment"] if suffix == ".png" else info["comment"].decode()
    assert "invented" in comment and SHA256 in comment and "style vivid" in comment
    assert (info["Software"] if suffix == ".png" else exif[305]) == provenance.software()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_that_says_so_is_noted_when_it_is_read(
    picture: Image.Image, tmp_path: Path, suffix: str
) -> None:
    note = "says that a model has made its colours already"
    path = tmp_path / f"coloured{suffix}"
    write_photo(picture, path)
    assert decode_photo(io.BytesIO(path.read_bytes()), path).notes == (note,)
    # Where a program kept the comment alone.
    with Image.open(path) as image:
        image.load()
        del image.info["xmp"]
        assert is_machine_made(image)
        image.info.pop("comment", None)
        image.info.pop("Comment", None)
        assert not is_machine_made(image)
    assert decode_photo(io.BytesIO(_png(picture)), "own").notes == ()


def test_invented_colours_are_no_truth_to_learn_from(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "own.jpg")
    write_photo(picture, tmp_path / "coloured.jpg")
    assert inspect_header(tmp_path / "own.jpg").orientation == 1
    with pytest.raises(PhotoError, match="says that a model has made its colours"):
        inspect_header(tmp_path / "coloured.jpg")


def test_pictures_of_other_generators_are_noted_too(picture: Image.Image) -> None:
    made = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><DigitalSourceType>http://cv.iptc.org/newscodes/'
        b"digitalsourcetype/trainedAlgorithmicMedia</DigitalSourceType></x:xmpmeta>"
    )
    for kind in ("JPEG", "WEBP"):
        file = io.BytesIO()
        picture.save(file, kind, xmp=made)
        (note,) = decode_photo(io.BytesIO(file.getvalue()), "made").notes
        assert "already" in note


def test_a_png_file_is_marked_once_and_its_pixels_stay(picture: Image.Image) -> None:
    plain = _png(picture)
    marked = marked_png(plain, LITE)
    assert marked_png(marked, Provenance()) == marked
    assert len(marked) == len(plain) + len(encoded_png_chunks(LITE))
    with Image.open(io.BytesIO(marked)) as image:
        # Pillow checks the checksums of those chunks.
        assert (np.asarray(image) == np.asarray(picture)).all()
        assert is_machine_made(image) and image.info["Comment"] == LITE.remark


def test_chunks_are_whole() -> None:
    chunks = encoded_png_chunks(LITE)
    kinds = []
    while chunks:
        (length,) = struct.unpack(">I", chunks[:4])
        body, (checksum,) = chunks[4 : 8 + length], struct.unpack(">I", chunks[8 + length :][:4])
        assert zlib.crc32(body) == checksum
        kinds.append(body[:4])
        chunks = chunks[12 + length :]
    assert kinds == [b"tEXt", b"tEXt", b"iTXt"]


def test_any_name_fits() -> None:
    odd = Provenance('<&"]]> \x00\x1b tên –\ud800').with_settings(style="<b>")
    root = ElementTree.fromstring(provenance.xmp_packet(odd).decode().removeprefix("\ufeff"))
    (parameters,) = root.iter(f"{EVENT}parameters")
    assert parameters.text == 'colorized: network <&"]]> ?? tên –?, style <b>'
    assert odd.remark.isascii() and odd.remark.isprintable()


def test_what_made_the_original_stays_in_its_exif() -> None:
    exif = Image.Exif()
    exif[305] = "ScanTool 2"
    once = with_software(exif.tobytes(), "photo-colorizer 1")
    twice = with_software(once, "photo-colorizer 1")
    block = Image.Exif()
    block.load(twice)
    assert dict(block) == {305: "photo-colorizer 1 (before: ScanTool 2)"}


def test_it_comes_back_from_json() -> None:
    assert Provenance.of_json(LITE.as_json(), "export.json") == LITE
    assert Provenance.of_json(None, "export.json") == Provenance()
    for wrong in ([], {"network": 3}, {"settings": ["a"]}, {"settings": {"a": 1}}, {"else": "x"}):
        with pytest.raises(ColorizerError, match=r"export\.json: does not say"):
            Provenance.of_json(wrong, "export.json")
