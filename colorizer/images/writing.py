"""Coloured photos written as PNG or JPEG, whole or not at all."""

from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin

from colorizer.files import replacing
from colorizer.images.metadata import with_software
from colorizer.images.provenance import Provenance, png_chunks, software, xmp_packet
from pipelines.errors import NotWrittenError, PhotoError

JPEG_QUALITY = 95
# A third of the time of the usual level 6 for files 3 % larger.
PNG_COMPRESSION = 4
JPEG_MAX_SIDE = 65_535

# PNG's sRGB chunk with the intent "perceptual": what viewers assume, said outright.
_SRGB_PERCEPTUAL = b"\0"


def write_photo(
    image: Image.Image,
    path: Path,
    *,
    exif: bytes = b"",
    resolution: float | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Writes an sRGB image of mode "RGB" to `path`, beside its place first and then renamed.

    The suffix chooses the format: `.png`, or `.jpg` with quality 95 and full colour resolution
    (4:4:4: coarser colour would undo the network's work at edges). Neither carries an ICC
    profile: PNG has its sRGB chunk, and a JPEG without profile is sRGB. Comment and XMP say that
    the colours are invented (`colorizer.images.provenance`).

    Args:
        image: what to write.
        path: where to; missing folders are made.
        exif: an EXIF block, see `colorizer.images.metadata.kept_exif`.
        resolution: pixels per inch.
        provenance: where the colours come from; left out, they are invented all the same.

    Raises:
        PhotoError: `path` cannot be written, or the image does not fit the format.
        ValueError: the suffix is neither `.png` nor `.jpg`, or the mode not "RGB".
    """
    try:
        with replacing(path) as beside:
            encode_photo(
                image, beside, path, exif=exif, resolution=resolution, provenance=provenance
            )
    except NotWrittenError as error:
        raise PhotoError(path, error.reason) from error


def encode_photo(
    image: Image.Image,
    file: Path | BinaryIO,
    name: Path,
    *,
    exif: bytes = b"",
    resolution: float | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Writes an image into a file, as `write_photo` does; `name` chooses the format."""
    if image.mode != "RGB":
        raise ValueError(f"expected an image of mode RGB, got {image.mode}")
    options = _options(name, exif, provenance or Provenance())
    if resolution is not None:
        options["dpi"] = (resolution, resolution)
    if name.suffix == ".jpg" and max(image.size) > JPEG_MAX_SIDE:
        reason = f"JPEG holds at most {JPEG_MAX_SIDE} pixels a side, not {image.size}: use png"
        raise PhotoError(name, reason)
    image.save(file, **options)


def _options(path: Path, exif: bytes, provenance: Provenance) -> dict[str, Any]:
    if path.suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add(b"sRGB", _SRGB_PERCEPTUAL)
        for kind, content in png_chunks(provenance):
            info.add(kind, content)
        # Pillow would take over what `image.info` says of the last two; the image is plain sRGB.
        return {
            "format": "PNG",
            "compress_level": PNG_COMPRESSION,
            "pnginfo": info,
            "exif": with_software(exif, software()) if exif else None,
            "icc_profile": None,
            "transparency": None,
        }
    if path.suffix == ".jpg":
        return {
            "format": "JPEG",
            "quality": JPEG_QUALITY,
            "subsampling": "4:4:4",
            "comment": provenance.remark,
            "exif": with_software(exif, software()),
            "xmp": xmp_packet(provenance),
        }
    raise ValueError(f"expected a .png or .jpg file, got {path}")
