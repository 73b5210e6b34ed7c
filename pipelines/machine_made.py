"""Pictures that say that a model has made their colours: no truth to learn or to measure by."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

REMARK = (
    "The colours of this picture are invented by a neural network: they are guesses, and no "
    "evidence of what the true colours were."
)
"""What coloured pictures say to people; `colorizer.images.provenance` writes it."""

# How all terms of IPTC's digital source types end that mean so.
SOURCE_TYPE_END = b"rainedAlgorithmicMedia"


def is_machine_made(image: "Image.Image") -> bool:
    """Whether an opened picture says that a model has made its colours, or all of it.

    It says so in XMP, or, where a program has dropped that, in our own comment.
    """
    if SOURCE_TYPE_END in _as_bytes(image.info.get("xmp")):
        return True
    comments = (_as_bytes(image.info.get(name)) for name in ("comment", "Comment"))
    return any(REMARK.encode() in comment for comment in comments)


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")
    return value if isinstance(value, bytes) else b""
