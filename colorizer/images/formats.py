"""Which files are photos: by their first bytes, and by their names."""

from pathlib import Path

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_OTHER_SUFFIXES = (".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".heic", ".heif")
SUFFIXES = frozenset((*_JPEG_SUFFIXES, *_OTHER_SUFFIXES))

# Bytes that `kind_of` needs to see.
HEAD_BYTES = 64

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


def kind_of(head: bytes) -> str | None:
    """Names the image format, as Pillow does, that a file with these first bytes has.

    Args:
        head: the first `HEAD_BYTES` bytes, or all if the file is shorter.

    Returns:
        "JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP" or "HEIF"; None for anything else.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    # Two letters begin many a text: a real BMP has four reserved zero bytes and a known header.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[15:18] == bytes(3):
        return "BMP"
    return None


def is_photo(path: Path) -> bool:
    """Whether a file is a photo by its name or by its content.

    A file that cannot be opened counts by its name alone; pipes and devices are none.
    """
    if path.exists() and not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
