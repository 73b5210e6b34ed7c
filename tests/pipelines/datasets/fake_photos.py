"""Made-up photos for the tests of builders."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A picture of coloured blocks, different for each seed."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def save(path: Path, picture: Image.Image, quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "JPEG", quality=quality)


def packed(folder: Path, archive: Path) -> Path:
    """Puts what is in a folder into a ZIP archive, names relative to it."""
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(folder.rglob("*")):
            target.write(path, path.relative_to(folder))
    return archive
