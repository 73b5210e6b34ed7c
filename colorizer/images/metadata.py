"""The metadata that a coloured photo keeps from its original."""

import math
from typing import Any

from PIL import ExifTags, Image

# JPEG holds EXIF in one segment of 64 KiB.
MAX_EXIF_BYTES = 65_000

_Base = ExifTags.Base

# Tags of the picture itself. Not kept: how the original file stored its pixels (a TIFF has those
# among its EXIF tags), its orientation, its profile and its thumbnail.
_KEPT = (
    _Base.ImageDescription,
    _Base.Make,
    _Base.Model,
    _Base.Software,
    _Base.DateTime,
    _Base.Artist,
    _Base.HostComputer,
    _Base.Copyright,
    _Base.Rating,
    _Base.XPTitle,
    _Base.XPComment,
    _Base.XPAuthor,
    _Base.XPKeywords,
    _Base.XPSubject,
)
# Maker notes point to places in the original file; the others are no longer so.
_NOT_KEPT_OF_EXIF = {
    _Base.MakerNote,
    _Base.ColorSpace,
    _Base.ExifImageWidth,
    _Base.ExifImageHeight,
    _Base.ExifInteroperabilityOffset,
}


def kept_exif(image: Image.Image, notes: list[str]) -> bytes:
    """Encodes what is worth keeping of an image's EXIF: text, dates, exposure, place.

    Returns:
        An EXIF block for `Image.save`; empty where nothing is to be kept. EXIF that cannot be
        parsed or does not fit is left out, and `notes` says so.
    """
    # Pillow's parser and writer raise whatever the damaged values lead them to.
    try:
        kept = _kept(image.getexif())
        encoded = kept.tobytes() if len(kept) else b""
    except Exception as error:
        notes.append(f"its EXIF data is damaged and left out ({error})")
        return b""
    if len(encoded) > MAX_EXIF_BYTES:
        notes.append("its EXIF data is too long and left out")
        return b""
    return encoded


def with_software(exif: bytes, software: str) -> bytes:
    """Gives an EXIF block whose Software is `software`, with what stood there behind it."""
    block = Image.Exif()
    if exif:
        block.load(exif)
    before = str(block.get(_Base.Software, ""))
    if not before.startswith(software):
        block[_Base.Software] = f"{software} (before: {before})" if before else software
    return block.tobytes()


def kept_resolution(image: Image.Image) -> float | None:
    """Pixels per inch, where the file states one sane value for both directions."""
    stated = image.info.get("dpi")
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    horizontal, vertical = (float(value) for value in stated)
    sane = math.isfinite(horizontal) and 1 <= horizontal <= 65_535
    return horizontal if sane and math.isclose(horizontal, vertical, rel_tol=0.01) else None


def _kept(exif: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag in _KEPT:
        if tag in exif:
            kept[tag] = exif[tag]
    shot: dict[int, Any] = {
        tag: value
        for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items()
        if tag not in _NOT_KEPT_OF_EXIF
    }
    if shot:
        kept[ExifTags.IFD.Exif] = shot
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if place:
        kept[ExifTags.IFD.GPSInfo] = dict(place)
    return kept
