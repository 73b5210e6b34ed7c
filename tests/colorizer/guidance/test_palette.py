"""A reference photo's palette."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from colorizer.ab_classes import CENTERS, CLASSES
from colorizer.guidance.palette import TRANSFER, Palette, prior_swap, transferred
from colorizer.inference import Colorizer, load
from pipelines.errors import ColorizerError

SIZE = 16


def _photo(mean: tuple[float, float], spread: float = 12.0) -> np.ndarray:
    """A photo whose ab scatter around `mean`, in Lab units, independent of lightness."""
    random = np.random.default_rng(0)
    lab = np.empty((128, 128, 3))
    lab[..., 0] = random.uniform(45, 65, (128, 128))
    lab[..., 1:] = mean + spread * random.standard_normal((128, 128, 2))
    return np.rint(255 * np.clip(lab2rgb(lab), 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def blue() -> Palette:
    return Palette.of(_photo((0.0, -25.0)))


def test_it_knows_the_colours_of_the_photo(blue: Palette) -> None:
    np.testing.assert_allclose(128 * blue.mean, (0, -25), atol=2)
    assert blue.shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(blue.shares @ CENTERS, blue.mean, atol=0.005)


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (np.full((30, 40, 3), 120, np.uint8), "gray or nearly gray"),
        (np.uint8(np.linspace(0, 1, 1200).reshape(30, 40, 1) * (250, 200, 150)), "toned"),
    ],
)
def test_photos_without_colours_are_refused(photo: np.ndarray, reason: str) -> None:
    with pytest.raises(ColorizerError, match=rf"--palette a\.jpg: is {reason}.*no colours to give"):
        Palette.of(photo, "--palette a.jpg")


def test_the_palettes_classes_gain_and_the_trainings_lose(blue: Palette) -> None:
    common = np.argmin(np.linalg.norm(CENTERS - (10 / 128, 20 / 128), axis=-1))
    liked = np.argmin(np.linalg.norm(CENTERS - blue.mean, axis=-1))
    shares = np.full(CLASSES, 0.5 / CLASSES)
    shares[common] += 0.5
    swap = np.array(prior_swap(shares, blue))
    assert swap[common] < -3 and swap[liked] > 2
    # No colour is forbidden.
    assert np.isfinite(swap).all() and swap.min() > -8
    # Bayes' rule: where the palette has the training's own shares nothing changes.
    same = Palette(shares, blue.mean, blue.covariance)
    np.testing.assert_allclose(prior_swap(shares, same), 0, atol=1e-12)


def test_ab_are_moved_towards_mean_and_covariance(blue: Palette) -> None:
    random = np.random.default_rng(1)
    ab = np.float32((0.1, 0.1) + random.standard_normal((2, SIZE, SIZE, 2)) * (0.02, 0.05))
    moved = transferred(ab, blue)
    assert moved.dtype == np.float32
    flat, own = (part.reshape(2, -1, 2) for part in (moved, ab))
    expected = (1 - TRANSFER) * own.mean(axis=1) + TRANSFER * blue.mean
    np.testing.assert_allclose(flat.mean(axis=1), expected, atol=1e-4)
    # What the whole way would give has the palette's covariance.
    whole = own[0] + (flat[0] - own[0]) / TRANSFER
    np.testing.assert_allclose(np.cov(whole, rowvar=False), blue.covariance, rtol=0.1, atol=2e-4)
    np.testing.assert_array_equal(transferred(ab[:1], blue), moved[:1])


def test_a_gray_prediction_takes_the_mean_alone(blue: Palette) -> None:
    moved = transferred(np.zeros((1, SIZE, SIZE, 2), np.float32), blue)
    np.testing.assert_allclose(moved, np.broadcast_to(TRANSFER * blue.mean, moved.shape), atol=1e-6)


def test_any_colorizer_takes_a_palette(blue: Palette) -> None:
    model = Colorizer(
        lambda seen: np.full((*seen.shape[:3], 2), 0.1, np.float32), SIZE, {"mean_ab": [0, 0]}
    )
    photo, reference = np.full((20, 30, 3), 120, np.uint8), _photo((0.0, -25.0))
    before = model.colorize(photo)
    by_array = model.colorize(photo, palette=reference)
    np.testing.assert_array_equal(by_array, model.colorize(photo, palette=blue))
    picture = model.colorize(Image.fromarray(photo), palette=Image.fromarray(reference))
    np.testing.assert_array_equal(by_array, np.asarray(picture))
    assert rgb2lab(by_array)[..., 2].mean() < rgb2lab(before)[..., 2].mean() - 10
    np.testing.assert_array_equal(model.colorize(photo), before)
    with pytest.raises(ColorizerError, match="the palette: is gray"):
        model.colorize(photo, palette=photo)


def test_the_shipped_network_prefers_the_palettes_colours(blue: Palette) -> None:
    model = load()
    photo = np.random.default_rng(2).integers(90, 160, (64, 64), np.uint8)
    for style in model.styles:
        usual, guided = (model.colorize(photo, style=style, palette=each) for each in (None, blue))
        b = rgb2lab(guided)[..., 2].mean()
        assert b < rgb2lab(usual)[..., 2].mean() - 2, style
    # The colorizer itself is as it was, but for what networks of other tests do to the rounding.
    again = model.colorize(photo, style="vivid")
    np.testing.assert_allclose(again.astype(int), usual.astype(int), rtol=0, atol=1)
