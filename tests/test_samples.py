"""The photos kept in samples/: each one listed with its licence, readable, and small."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
PHOTOS = sorted(SAMPLES.rglob("*.jpg"))
TABLE_LINE = re.compile(r"\| `(.+?)` \| (.+) \| (.+) \| (.+) \|")


def listed() -> dict[str, tuple[str, str, str]]:
    text = (SAMPLES / "LICENSES.md").read_text(encoding="utf-8")
    rows = (TABLE_LINE.fullmatch(line) for line in text.splitlines())
    return {row[1]: (row[2], row[3], row[4]) for row in rows if row}


def test_every_file_is_listed_and_no_other() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file() and path.suffix != ".md"]
    assert sorted(listed()) == sorted(path.relative_to(SAMPLES).as_posix() for path in files)


def test_every_licence_is_a_free_one() -> None:
    for file, (source, licence, where) in listed().items():
        assert re.match(r"MIT$|CC0|public domain", licence), file
        assert source and where, file


def test_mit_photos_come_with_their_notice() -> None:
    text = (SAMPLES / "LICENSES.md").read_text(encoding="utf-8")
    assert "Copyright (c) 2019 Marcus Klasson" in text
    assert "Permission is hereby granted, free of charge" in text


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_photo_is_a_readable_jpeg(path: Path) -> None:
    with Image.open(path) as image:
        assert image.format == "JPEG"
        image.load()
        assert not {"exif", "xmp"} & set(image.info)
        if path.is_relative_to(SAMPLES / "photos"):
            assert image.mode == "RGB"
            assert min(image.size) <= 256
            ranges = np.ptp(np.asarray(image, np.int16), axis=-1)
            assert ranges.mean() > 5, "a colour photo has colours"


def test_sizes_and_numbers() -> None:
    assert sum(path.stat().st_size for path in PHOTOS) < 1_500_000
    assert len(list((SAMPLES / "photos" / "train").glob("*.jpg"))) == 40
    assert len(list((SAMPLES / "photos" / "val").glob("*.jpg"))) == 8
    assert len(list((SAMPLES / "historical").glob("*.jpg"))) == 3


def test_train_and_val_share_no_photo() -> None:
    train, val = (
        {p.name for p in (SAMPLES / "photos" / s).glob("*.jpg")} for s in ("train", "val")
    )
    assert not train & val
