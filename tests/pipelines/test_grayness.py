import numpy as np
import pytest
from PIL import Image

from pipelines.color import rgb_to_lightness_ab
from pipelines.grayness import distance_from_one_ink, why_gray


def reasons(*images: Image.Image) -> list[str | None]:
    rgb = np.stack([np.asarray(image.convert("RGB").resize((128, 128))) for image in images])
    return why_gray(*map(np.asarray, rgb_to_lightness_ab(rgb.astype(np.float32) / 255)))


@pytest.fixture
def colour_photo(sample_photos):
    return Image.open(sample_photos / "train" / "skimage_astronaut.jpg")


def test_colour_photos_pass(sample_photos):
    for path in sorted(sample_photos.rglob("*.jpg")):
        assert reasons(Image.open(path)) == [None], path


def test_gray_is_found(colour_photo):
    assert reasons(colour_photo.convert("L")) == ["gray or nearly gray"]


def test_a_slight_cast_is_still_gray(colour_photo):
    gray = np.asarray(colour_photo.convert("L"), np.int16)
    cast = np.stack([gray + 3, gray, gray - 2], axis=-1).clip(0, 255).astype(np.uint8)
    assert reasons(Image.fromarray(cast)) == ["gray or nearly gray"]


@pytest.mark.parametrize("ink", [(1.0, 0.8, 0.55), (0.5, 0.75, 1.0)], ids=["sepia", "cyanotype"])
def test_one_ink_is_found(colour_photo, ink):
    gray = np.asarray(colour_photo.convert("L"), np.float32)[..., None]
    toned = Image.fromarray((gray * np.array(ink)).astype(np.uint8))
    assert reasons(toned) == ["toned monochrome"]


def test_real_historical_prints_are_found(shared_photos):
    for path in sorted((shared_photos / "photos_historical").iterdir()):
        assert reasons(Image.open(path)) != [None], path


def test_each_of_a_batch_is_judged_alone(colour_photo):
    gray = colour_photo.convert("L")
    assert reasons(gray, colour_photo, gray) == ["gray or nearly gray", None, "gray or nearly gray"]


def test_integers_are_judged_as_what_they_stand_for(colour_photo):
    rgb = np.asarray(colour_photo, np.float32)[None] / 255
    lightness, ab = (np.asarray(part) for part in rgb_to_lightness_ab(rgb))
    whole = [np.round(part * 32767).astype(np.int16) for part in (lightness, ab)]
    assert why_gray(*whole, 32767) == [None]
    assert why_gray(whole[0], whole[1] // 16, 32767) == ["gray or nearly gray"]


@pytest.mark.parametrize("tones", [(0.3,), (0.2, 0.8)], ids=["one", "two"])
def test_fewer_tones_than_the_curve_has_coefficients(tones):
    lightness = np.resize(np.float32(tones), (1, 64, 64, 1))
    ink = np.stack([0.3 * lightness[..., 0], -0.1 + 0.2 * lightness[..., 0]], axis=-1)
    assert why_gray(lightness, ink) == ["toned monochrome"]
    colours = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 64, 64, 2)).astype(np.float32)
    assert why_gray(lightness, colours) == [None]


def test_the_distance_is_that_of_least_squares(colour_photo):
    rgb = np.asarray(colour_photo.resize((64, 64)), np.float32) / 255
    lightness, ab = (np.asarray(part) for part in rgb_to_lightness_ab(rgb))
    tone, colours = lightness.reshape(1, -1), 128 * ab.reshape(1, -1, 2).transpose(0, 2, 1)
    powers = np.vander(tone[0].astype(np.float64), 4)
    _, squares, *_ = np.linalg.lstsq(powers, colours[0].T, rcond=None)
    expected = np.sqrt(squares.sum() / tone.size)
    np.testing.assert_allclose(distance_from_one_ink(tone, colours), expected, rtol=1e-4)
