"""What the builders of datasets rest on: which copies are found, how fast, what a JPEG loses.

    python benchmarks/photo_copies.py --data photos

Prints Markdown: how many different photos have near hashes and how alike their thumbnails are; how
many copies of each kind are found; the time a photo takes while up to `--many` are remembered; the
ab error and size of photos shrunk to 256x256 under several settings of the JPEG encoder.
"""

import io
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from machine import describe_machine
from PIL import Image, ImageEnhance
from tqdm import tqdm

from colorizer.command import import_tensorflow, run
from pipelines.likeness import NEAR, SeenPhotos, correlation, hashes, mirrored_hashes

IMAGE_SIZE = 256
_MIRROR = Image.Transpose.FLIP_LEFT_RIGHT
_SMALL = 64


@dataclass(frozen=True)
class Arguments:
    """What to measure on what."""

    data: Path
    """Folder of photos, no two of them the same."""
    copies: int = 300
    """Copy so many of them in each way."""
    many: int = 100_000
    """Remember so many: crops of the photos, where there are fewer."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints the tables."""
    import_tensorflow()
    from pipelines.preparation import choose_jpegs

    paths = choose_jpegs(arguments.data)
    random.seed(0)
    pictures = [_square(path) for path in tqdm(paths, desc="reading", file=sys.stderr)]
    print(f"{len(pictures)} photos, {describe_machine()}\n")
    _near_pairs(pictures)
    _found_copies(pictures, arguments.copies)
    _time_of_many(pictures, arguments.many)
    _lost_by_jpeg(paths)


def _square(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)


def _near_pairs(pictures: list[Image.Image]) -> None:
    """Goes through all pairs: what `SeenPhotos` must not take for copies."""
    plain = np.array([hashes(picture)[0] for picture in pictures])
    mirrored = np.array([mirrored_hashes(picture)[0] for picture in pictures])
    found = []
    for index, picture in enumerate(pictures):
        for codes, seen in ((plain, picture), (mirrored, picture.transpose(_MIRROR))):
            near = np.bitwise_count(plain[:index] ^ codes[index]) <= NEAR
            for other in np.flatnonzero(near).tolist():
                found.append(correlation(np.asarray(seen), np.asarray(pictures[other])))
    likest = f"{max(found):.3f}" if found else "-"
    print(f"Pairs of near hashes: {len(found)}; the likest thumbnails correlate by {likest}.\n")


def _found_copies(pictures: list[Image.Image], count: int) -> None:
    chosen = random.sample(range(len(pictures)), min(count, len(pictures)))
    seen = SeenPhotos()
    for index in chosen:
        seen.add(str(index), np.asarray(pictures[index]))
    print("| copy | found | taken for another photo's |\n| --- | ---: | ---: |")
    for name, change in _CHANGES.items():
        copies = [seen.copy_of(np.asarray(change(pictures[index]))) for index in chosen]
        right = sum(copy == str(index) for copy, index in zip(copies, chosen, strict=True))
        wrong = sum(copy is not None for copy in copies) - right
        print(f"| {name} | {right / len(chosen):.1%} | {wrong} |")
    print()


def _time_of_many(pictures: list[Image.Image], many: int) -> None:
    small = [picture.resize((_SMALL, _SMALL)) for picture in pictures]
    seen = SeenPhotos()
    print("| photos | ms a photo |\n| ---: | ---: |")
    begun = time.perf_counter()
    for number in range(many):
        picture = small[number % len(small)]
        if number >= len(small):
            side = int(_SMALL * random.uniform(0.45, 0.8))
            left, top = random.randrange(_SMALL - side), random.randrange(_SMALL - side)
            picture = picture.resize((_SMALL, _SMALL), box=(left, top, left + side, top + side))
        pixels = np.asarray(picture)
        if seen.copy_of(pixels) is None:
            seen.add(str(number), pixels)
        if (number + 1) % max(1, many // 5) == 0:
            now = time.perf_counter()
            print(f"| {number + 1} | {1000 * (now - begun) / (many // 5):.2f} |", flush=True)
            begun = now
    print()


def _lost_by_jpeg(paths: list[Path]) -> None:
    larger = [path for path in paths if max(Image.open(path).size) > IMAGE_SIZE]
    chosen = random.sample(larger, min(150, len(larger)))
    print(f"{len(chosen)} photos larger than {IMAGE_SIZE}x{IMAGE_SIZE}:\n")
    print(
        "| quality | chroma | mean distance of ab, Lab units | kB |\n| ---: | --- | ---: | ---: |"
    )
    for quality, subsampling in ((90, "4:4:4"), (95, "4:2:0"), (95, "4:4:4"), (98, "4:4:4")):
        errors, sizes = [], []
        for picture in map(_square, chosen):
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
            sizes.append(len(encoded.getvalue()))
            errors.append(_difference(picture, Image.open(encoded)))
        print(
            f"| {quality} | {subsampling} | {np.mean(errors):.2f} | {np.mean(sizes) / 1000:.0f} |"
        )


def _difference(picture: Image.Image, stored: Image.Image) -> float:
    from pipelines.color import rgb_to_lab

    before, after = (
        np.asarray(rgb_to_lab(np.asarray(one, np.float32) / 255.0))[..., 1:]
        for one in (picture, stored)
    )
    return float(np.hypot(*np.moveaxis(after - before, -1, 0)).mean())


def _compressed(picture: Image.Image) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=30)
    return Image.open(encoded).convert("RGB")


def _zoomed(picture: Image.Image, share: float) -> Image.Image:
    left, top = 0.2 * (1 - share) * IMAGE_SIZE, 0.8 * (1 - share) * IMAGE_SIZE
    side = share * IMAGE_SIZE
    box = (left, top, left + side, top + side)
    return picture.resize((IMAGE_SIZE, IMAGE_SIZE), box=box)


_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 30": _compressed,
    "a quarter of the side": lambda one: one.resize((64, 64)).resize((IMAGE_SIZE, IMAGE_SIZE)),
    "mirrored": lambda one: one.transpose(_MIRROR),
    "brighter by 20%": lambda one: ImageEnhance.Brightness(one).enhance(1.2),
    "contrast up by 25%": lambda one: ImageEnhance.Contrast(one).enhance(1.25),
    "colours down by 40%": lambda one: ImageEnhance.Color(one).enhance(0.6),
    "2% cut off": lambda one: _zoomed(one, 0.98),
    "5% cut off": lambda one: _zoomed(one, 0.95),
}


if __name__ == "__main__":
    main()
