"""Copies of photos are found, and only copies."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipelines.likeness import NEAR, NearHashes, SeenPhotos

SIDE = 256


def compressed(picture: Image.Image, quality: int = 40) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=quality)
    return Image.open(encoded).convert("RGB")


COPIES = {
    "the same": lambda picture: picture,
    "compressed": compressed,
    "a quarter of the size": lambda picture: picture.resize((64, 64)).resize((SIDE, SIDE)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "paler": lambda picture: ImageEnhance.Color(picture).enhance(0.8),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.fixture(scope="module")
def pictures(sample_photos) -> dict[str, Image.Image]:
    files = sorted(sample_photos.rglob("*.jpg"))
    return {file.name: Image.open(file).convert("RGB").resize((SIDE, SIDE)) for file in files}


@pytest.fixture(scope="module")
def seen(pictures) -> SeenPhotos:
    """All photos, none of which is a copy of another."""
    seen = SeenPhotos()
    for name, picture in pictures.items():
        assert seen.copy_of(np.asarray(picture)) is None
        seen.add(name, np.asarray(picture))
    return seen


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_named(seen, pictures, change):
    found = {name: seen.copy_of(np.asarray(change(picture))) for name, picture in pictures.items()}
    # Brightening clips, which may cost a photo the correlation.
    assert sum(name == original for name, original in found.items()) >= 0.95 * len(pictures)
    assert all(original in (name, None) for name, original in found.items())


def test_near_hashes_alone_are_no_copy():
    """Two gradients of opposite colours get lighter at the same places."""
    ramp = np.tile(np.linspace(0, 100, SIDE).astype(np.uint8), (SIDE, 1))
    red = np.stack([ramp + 150, ramp // 4, ramp // 4], axis=-1)
    blue = np.stack([ramp // 4, ramp // 4, ramp + 150], axis=-1)
    seen = SeenPhotos()
    seen.add("red", red)
    assert seen.copy_of(red) == "red"
    assert seen.copy_of(blue) is None


def test_bands_find_every_hash_within_reach():
    """Against looking at all: random codes, and codes with up to `NEAR` + 1 bits turned."""
    random = np.random.default_rng(0)
    hashes = NearHashes()
    codes = [int(code) for code in random.integers(0, 2**64, 300, dtype=np.uint64)]
    for code in codes:
        hashes.add(code)
    for original, code in enumerate(codes):
        for turned in range(NEAR + 2):
            bits = random.choice(64, turned, replace=False)
            changed = code ^ sum(1 << int(bit) for bit in bits)
            near = hashes.near(changed)
            assert (original in near) == (turned <= NEAR)
