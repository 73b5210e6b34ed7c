"""What must hold for any colours: round trips, ranges, order, symmetry."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from keras import ops
from PIL import Image, ImageOps
from skimage.color import deltaE_ciede2000

from pipelines import color
from pipelines.color_difference import delta_e_76, delta_e_2000
from pipelines.decoding import resize_bilinear, upright

SHAPES = array_shapes(max_dims=3, max_side=6)
UNIT = st.floats(0, 1)


@st.composite
def colours(draw, low: tuple[float, ...], high: tuple[float, ...], count: int = 1):
    """`count` arrays of one shape (..., 3), each channel between its bounds."""
    shape = (*draw(SHAPES), 3)
    share = [draw(arrays(np.float64, shape, elements=UNIT)) for _ in range(count)]
    return [np.asarray(low) + part * np.subtract(high, low) for part in share]


RGB = colours((0, 0, 0), (1, 1, 1))
# Far outside what sRGB holds.
LAB = ((0, -150, -150), (100, 150, 150))


def lab_of(rgb: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(color.rgb_to_lab(rgb))


def rgb_of(lab: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(color.lab_to_rgb(lab))


@given(RGB)
def test_there_and_back(drawn):
    (rgb,) = drawn
    np.testing.assert_allclose(rgb_of(lab_of(rgb)), rgb, atol=1e-4)
    np.testing.assert_allclose(rgb_of(lab_of(rgb.astype("f4"))), rgb, atol=2e-4)
    lightness, ab = color.rgb_to_lightness_ab(rgb)
    np.testing.assert_allclose(color.lightness_ab_to_rgb(lightness, ab), rgb, atol=1e-4)


@given(RGB)
def test_ranges_of_the_gamut(drawn):
    (rgb,) = drawn
    lab = lab_of(rgb)
    assert lab[..., 0].min() >= -1e-4 and lab[..., 0].max() <= 100 + 1e-3
    assert np.abs(lab[..., 1:]).max() <= 108
    lightness, ab = (ops.convert_to_numpy(part) for part in color.rgb_to_lightness_ab(rgb))
    assert np.abs(lightness).max() <= 1 + 1e-5 and np.abs(ab).max() < 1


@given(colours(*LAB))
def test_any_lab_becomes_a_colour_that_stays(drawn):
    (lab,) = drawn
    rgb = rgb_of(lab)
    assert np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1
    np.testing.assert_allclose(rgb_of(lab_of(rgb)), rgb, atol=1e-4)


@given(arrays(np.float64, SHAPES, elements=UNIT))
def test_gray_has_no_colour_and_is_ordered_by_lightness(gray):
    lab = lab_of(np.repeat(gray[..., None], 3, axis=-1))
    assert np.abs(lab[..., 1:]).max() < 0.02
    order = np.argsort(gray, axis=None)
    assert (np.diff(lab[..., 0].ravel()[order]) >= -1e-9).all()


@given(RGB, st.integers(0, 2), st.floats(0, 1))
def test_more_of_a_primary_is_never_darker(drawn, channel, share):
    (rgb,) = drawn
    more = rgb.copy()
    more[..., channel] += share * (1 - more[..., channel])
    assert (lab_of(more)[..., 0] - lab_of(rgb)[..., 0]).min() >= -1e-4


@given(colours(*LAB, count=3))
def test_differences_are_distances(drawn):
    first, second, third = drawn
    for difference in (delta_e_76, delta_e_2000):
        there, back = (
            ops.convert_to_numpy(difference(*pair)) for pair in ((first, second), (second, first))
        )
        assert np.isfinite(there).all() and there.min() >= 0
        np.testing.assert_allclose(there, back, rtol=1e-9, atol=1e-9)
        assert ops.convert_to_numpy(difference(first, first)).max() < 1e-9
    direct, by_way = delta_e_76(first, third), delta_e_76(first, second) + delta_e_76(second, third)
    assert (ops.convert_to_numpy(by_way - direct) >= -1e-9).all()


@given(colours(*LAB, count=2))
def test_ciede2000_is_that_of_scikit_image(drawn):
    first, second = drawn
    a1, b1, a2, b2 = first[..., 1], first[..., 2], second[..., 1], second[..., 2]
    # Where hues are opposite the formula jumps, and rounding takes the one side or the other.
    assume((np.abs(a1 * b2 - a2 * b1) > 1e-6).all())
    found = ops.convert_to_numpy(delta_e_2000(first, second))
    np.testing.assert_allclose(found, deltaE_ciede2000(first, second), atol=1e-6)


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.data())
def test_turns_are_pillow_s(picture, data):
    orientation = data.draw(st.integers(1, 8))
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = orientation
    turned = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(upright(picture, tf.constant(orientation)), turned)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(2))),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_resizing_keeps_to_the_range_and_flat_pictures(picture, size):
    resized = resize_bilinear(picture, size).numpy()
    assert resized.shape == (*size, 2)
    assert resized.min() >= picture.min() - 1e-3 and resized.max() <= picture.max() + 1e-3
    flat = resize_bilinear(np.full_like(picture, 77), size).numpy()
    assert flat == pytest.approx(77, abs=1e-3)
