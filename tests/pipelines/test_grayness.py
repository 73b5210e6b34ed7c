import numpy as np
import pytest
from PIL import Image

from pipelines.color import rgb_to_lightness_ab
from pipelines.grayness import why_gray


def record(image: Image.Image) -> np.ndarray:
    rgb = np.asarray(image.convert("RGB").resize((128, 128)), np.float32) / 255
    return np.concatenate(rgb_to_lightness_ab(rgb), axis=-1)


@pytest.fixture
def colour_photo(sample_photos):
    return Image.open(sample_photos / "train" / "skimage_astronaut.jpg")


def test_colour_photos_pass(sample_photos):
    for path in sorted(sample_photos.rglob("*.jpg")):
        assert why_gray(record(Image.open(path))) is None, path


def test_gray_is_found(colour_photo):
    assert why_gray(record(colour_photo.convert("L"))) == "gray or nearly gray"


def test_a_slight_cast_is_still_gray(colour_photo):
    gray = np.asarray(colour_photo.convert("L"), np.int16)
    cast = np.stack([gray + 3, gray, gray - 2], axis=-1).clip(0, 255).astype(np.uint8)
    assert why_gray(record(Image.fromarray(cast))) == "gray or nearly gray"


@pytest.mark.parametrize("ink", [(1.0, 0.8, 0.55), (0.5, 0.75, 1.0)], ids=["sepia", "cyanotype"])
def test_one_ink_is_found(colour_photo, ink):
    gray = np.asarray(colour_photo.convert("L"), np.float32)[..., None]
    toned = Image.fromarray((gray * np.array(ink)).astype(np.uint8))
    assert why_gray(record(toned)) == "toned monochrome"


def test_real_historical_prints_are_found(shared_photos):
    for path in sorted((shared_photos / "photos_historical").iterdir()):
        assert why_gray(record(Image.open(path))) is not None, path
