import keras
import numpy as np
import pytest
import tensorflow as tf
from skimage.color import lab2rgb, rgb2lab

from pipelines import color, tfio_color

CORNERS = np.array(np.meshgrid([0, 1], [0, 1], [0, 1]), np.float32).reshape(3, -1).T


def byte_cube(step: int = 15) -> np.ndarray:
    """The 8-bit RGB cube, every `step` levels, with both ends: (N, 3) float32 in [0, 1]."""
    levels = np.arange(0, 256, step, dtype=np.float32) / 255
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


def in_graph(function):
    return tf.function(function)


def under_xla(function):
    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize("way", [lambda f: f, in_graph, under_xla], ids=["eager", "graph", "xla"])
def test_rgb_to_lab_equals_scikit_image_on_the_byte_cube(way):
    rgb = byte_cube()
    np.testing.assert_allclose(way(color.rgb_to_lab)(rgb), rgb2lab(rgb), atol=1e-3)


@pytest.mark.parametrize("way", [lambda f: f, in_graph, under_xla], ids=["eager", "graph", "xla"])
def test_lab_to_rgb_brings_the_byte_cube_back(way):
    rgb = byte_cube()
    lab = rgb2lab(rgb).astype(np.float32)
    np.testing.assert_allclose(way(color.lab_to_rgb)(lab), rgb, atol=1e-4)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([1, 1, 1], [100, 0, 0]),
        ([1, 0, 0], [53.24, 80.09, 67.20]),
        ([0, 1, 0], [87.73, -86.18, 83.18]),
        ([0, 0, 1], [32.30, 79.19, -107.86]),
    ],
)
def test_published_lab_of_the_primaries(rgb, lab):
    np.testing.assert_allclose(color.rgb_to_lab(np.array(rgb, np.float32)), lab, atol=0.02)


def test_out_of_gamut_lab_clips_as_scikit_image_does():
    lab = np.random.default_rng(0).uniform([0, -128, -128], [100, 128, 128], (4000, 3))
    with pytest.warns(UserWarning, match="negative Z"):
        expected = lab2rgb(lab)
    np.testing.assert_allclose(color.lab_to_rgb(lab), expected, atol=1e-4)


def test_tensorflow_io_agrees_both_ways():
    rgb = byte_cube()
    lab = color.rgb_to_lab(rgb)
    np.testing.assert_allclose(tfio_color.rgb_to_lab(tf.constant(rgb)), lab, atol=1e-3)
    np.testing.assert_allclose(tfio_color.lab_to_rgb(lab), color.lab_to_rgb(lab), atol=1e-4)


def test_float64_stays_float64():
    rgb = byte_cube(85).astype(np.float64)
    lab = color.rgb_to_lab(rgb)
    assert keras.backend.standardize_dtype(lab.dtype) == "float64"
    np.testing.assert_allclose(color.lab_to_rgb(lab), rgb, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int32"])
def test_other_dtypes_are_refused(dtype):
    values = tf.cast(tf.zeros((2, 3)), dtype)
    for function in (color.rgb_to_lab, color.lab_to_rgb, color.lab_to_lightness_ab):
        with pytest.raises(TypeError, match=dtype):
            function(values)


def test_wrong_channel_count_is_refused():
    with pytest.raises(ValueError, match="3 channels"):
        color.rgb_to_lab(np.zeros((4, 4, 1), np.float32))
    with pytest.raises(ValueError, match="2 channels"):
        color.lightness_ab_to_lab(np.zeros((4, 1), np.float32), np.zeros((4, 3), np.float32))


def test_scaling_stays_within_one_and_comes_back():
    lightness, ab = color.rgb_to_lightness_ab(byte_cube())
    assert lightness.shape[-1] == 1 and ab.shape[-1] == 2
    for scaled in (lightness, ab):
        assert np.abs(scaled).max() <= 1.0 + 1e-5
    np.testing.assert_allclose(color.lightness_ab_to_rgb(lightness, ab), byte_cube(), atol=1e-4)


def test_gray_keeps_its_lightness_and_has_no_colour():
    grays = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 3, axis=1)
    lightness, ab = color.rgb_to_lightness_ab(grays)
    np.testing.assert_allclose(np.asarray(ab) * color.AB_RANGE, 0, atol=0.01)
    assert (np.diff(np.asarray(lightness)[:, 0]) > 0).all()
    np.testing.assert_allclose(
        color.lightness_ab_to_rgb(lightness, np.zeros((256, 2), np.float32)), grays, atol=1e-3
    )


@pytest.mark.parametrize("function", [color.rgb_to_lab, color.lab_to_rgb])
def test_gradients_are_finite_everywhere(function):
    rng = np.random.default_rng(1)
    rgb = np.concatenate([CORNERS, rng.random((500, 3), np.float32)])
    wild = rng.uniform([0, -128, -128], [100, 128, 128], (500, 3)).astype(np.float32)
    black = np.zeros((1, 3), np.float32)
    inputs = tf.constant(rgb if function is color.rgb_to_lab else np.concatenate([wild, black]))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(function(inputs))
    assert np.isfinite(tape.gradient(total, inputs)).all()


@pytest.mark.parametrize("function", [color.rgb_to_lab, color.lab_to_rgb])
def test_gradients_equal_numeric_ones(function):
    rgb = np.random.default_rng(2).uniform(0.1, 0.9, (20, 3))
    inputs = rgb if function is color.rgb_to_lab else np.asarray(color.rgb_to_lab(rgb))
    theoretical, numeric = tf.test.compute_gradient(function, [tf.constant(inputs)])
    np.testing.assert_allclose(theoretical[0], numeric[0], rtol=1e-3, atol=1e-4)


def test_tensorflow_io_with_faster_powers_is_still_tensorflow_io():
    levels = np.linspace(0, 1, 52, dtype=np.float32)
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, 52, -1, 3)
    first, second = (
        tf.function(half, jit_compile=True, autograph=False)
        for half in (tfio_color.rgb_to_responses, tfio_color.responses_to_lab)
    )
    np.testing.assert_allclose(second(first(rgb)), tfio_color.rgb_to_lab(rgb), atol=3e-4)


def test_an_unknown_power_of_tensorflow_io_is_refused(monkeypatch):
    monkeypatch.setattr(
        tfio_color, "rgb_to_lab", lambda rgb: tf.stack(tf.unstack(rgb**2.2, axis=-1), axis=-1)
    )
    with pytest.raises(KeyError, match=r"2\.2"):
        tfio_color.rgb_to_responses(tf.zeros((1, 2, 2, 3)))
