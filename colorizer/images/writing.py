"""Coloured photos written as PNG or JPEG, whole or not at all."""

from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin

from colorizer.files import replacing
from pipelines.errors import NotWrittenError, PhotoError

JPEG_QUALITY = 95
# A third of the time of the usual level 6 for files 3 % larger.
PNG_COMPRESSION = 4
JPEG_MAX_SIDE = 65_535

REMARK = "The colours of this picture are machine-made (photo-colorizer)."

# PNG's sRGB chunk with the intent "perceptual": what viewers assume, said outright.
_SRGB_PERCEPTUAL = b"\0"


def write_photo(
    image: Image.Image, path: Path, *, exif: bytes = b"", resolution: float | None = None
) -> None:
    """Writes an sRGB image of mode "RGB" to `path`, beside its place first and then renamed.

    The suffix chooses the format: `.png`, or `.jpg` with quality 95 and full colour resolution
    (4:4:4: coarser colour would undo the network's work at edges). Neither carries an ICC
    profile: PNG has its sRGB chunk, and a JPEG without profile is sRGB. A comment says that the
    colours are machine-made.

    Args:
        image: what to write.
        path: where to; missing folders are made.
        exif: an EXIF block, see `colorizer.images.metadata.kept_exif`.
        resolution: pixels per inch.

    Raises:
        PhotoError: `path` cannot be written, or the image does not fit the format.
        ValueError: the suffix is neither `.png` nor `.jpg`, or the mode not "RGB".
    """
    try:
        with replacing(path) as beside:
            encode_photo(image, beside, path, exif=exif, resolution=resolution)
    except NotWrittenError as error:
        raise PhotoError(path, error.reason) from error


def encode_photo(
    image: Image.Image,
    file: Path | BinaryIO,
    name: Path,
    *,
    exif: bytes = b"",
    resolution: float | None = None,
) -> None:
    """Writes an image into a file, as `write_photo` does; `name` chooses the format."""
    if image.mode != "RGB":
        raise ValueError(f"expected an image of mode RGB, got {image.mode}")
    options = _options(name, exif, resolution)
    if name.suffix == ".jpg" and max(image.size) > JPEG_MAX_SIDE:
        reason = f"JPEG holds at most {JPEG_MAX_SIDE} pixels a side, not {image.size}: use png"
        raise PhotoError(name, reason)
    image.save(file, **options)


def _options(path: Path, exif: bytes, resolution: float | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if path.suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add(b"sRGB", _SRGB_PERCEPTUAL)
        info.add_text("Comment", REMARK)
        # Pillow would take over what `image.info` says of these two; the image is plain sRGB.
        options = {
            "format": "PNG",
            "compress_level": PNG_COMPRESSION,
            "pnginfo": info,
            "icc_profile": None,
            "transparency": None,
        }
    elif path.suffix == ".jpg":
        options = {
            "format": "JPEG",
            "quality": JPEG_QUALITY,
            "subsampling": "4:4:4",
            "comment": REMARK,
        }
    else:
        raise ValueError(f"expected a .png or .jpg file, got {path}")
    if exif:
        options["exif"] = exif
    if resolution is not None:
        options["dpi"] = (resolution, resolution)
    return options
