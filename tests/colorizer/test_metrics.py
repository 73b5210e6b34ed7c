import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from skimage import color, metrics

from colorizer.metrics.colourfulness import Colourfulness, colourfulness
from colorizer.metrics.delta_e_76 import DeltaE76, mean_delta_e_76
from colorizer.metrics.delta_e_2000 import DeltaE2000, mean_delta_e_2000
from colorizer.metrics.encoded_pictures import encode, to_lab, to_rgb8
from colorizer.metrics.psnr import PSNR, psnr
from colorizer.metrics.ssim import SSIM, ssim
from pipelines.color import rgb_to_lightness_ab

CLASSES = [PSNR, DeltaE76, DeltaE2000, SSIM, Colourfulness]
EVERY = pytest.mark.parametrize("metric_class", CLASSES)


def pictures8(seed: int, count: int = 5, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Blurry random pictures and, for each, a copy that is off by ever more."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 6, 6, 3))
    true = np.asarray(ops.image.resize(coarse.astype("float32"), (size, size)))
    noise = rng.normal(size=true.shape) * np.arange(2, 2 + count)[:, None, None, None]
    return to_levels(true), to_levels(true + noise)


def to_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype("uint8")


def encoded(rgb8: np.ndarray) -> np.ndarray:
    return np.asarray(encode(*rgb_to_lightness_ab(rgb8.astype("float32") / 255)))


def encoded_pair(seed: int, count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    true, pred = pictures8(seed, count)
    return encoded(true), encoded(pred)


def test_encoding_gives_back_all_8_bit_levels():
    levels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    np.testing.assert_array_equal(to_rgb8(encoded(levels)), levels)


def test_psnr_of_a_constant_shift():
    dark = np.full((3, 4, 5, 3), 100, "uint8")
    shifted = dark + np.array([1, 10, 100], "uint8")[:, None, None, None]
    expected = [48.130804, 28.130804, 8.130804]  # 20 log10(255 / shift)
    np.testing.assert_allclose(psnr(dark, shifted), expected, atol=1e-4)
    np.testing.assert_allclose(psnr(shifted, dark), expected, atol=1e-4)


def test_psnr_is_the_mean_over_images_and_capped():
    black = np.zeros((2, 4, 4, 3), "uint8")
    white_and_same = black.copy()
    white_and_same[0] = 255
    np.testing.assert_allclose(psnr(black, white_and_same), [0.0, 100.0], atol=1e-4)
    np.testing.assert_allclose(psnr(black, black, cap=60.0), [60.0, 60.0], rtol=1e-6)
    metric = PSNR(cap=60.0)
    metric.update_state(encoded(black), encoded(white_and_same))
    assert float(metric.result()) == pytest.approx(30.0, abs=1e-4)


def test_psnr_and_ssim_equal_scikit_image():
    true, pred = pictures8(1)
    expected = [metrics.peak_signal_noise_ratio(t, p) for t, p in zip(true, pred, strict=True)]
    np.testing.assert_allclose(psnr(true, pred), expected, rtol=1e-6)
    expected = [
        metrics.structural_similarity(
            t,
            p,
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for t, p in zip(true, pred, strict=True)
    ]
    assert max(expected) - min(expected) > 0.01
    np.testing.assert_allclose(ssim(true, pred), expected, atol=2e-6)


def test_ssim_equals_tensorflow():
    true, pred = pictures8(2, size=40)
    np.testing.assert_allclose(ssim(true, pred), tf.image.ssim(true, pred, 255), atol=1e-5)
    np.testing.assert_allclose(ssim(true, true), np.ones(5), atol=1e-6)


def test_ssim_refuses_pictures_smaller_than_its_window():
    small = np.zeros((1, 11, 10, 3), "uint8")
    with pytest.raises(ValueError, match="at least 11x11 pixels, got 11x10"):
        ssim(small, small)


def test_delta_e_is_the_mean_over_pixels_of_each_image():
    true, pred = (np.asarray(to_lab(pictures)) for pictures in encoded_pair(3))
    for function, oracle in (
        (mean_delta_e_76, color.deltaE_cie76),
        (mean_delta_e_2000, color.deltaE_ciede2000),
    ):
        values = function(true, pred)
        assert values.shape == (5,)
        expected = oracle(true.astype("float64"), pred.astype("float64")).mean((1, 2))
        np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_delta_e_of_shared_lightness_is_not_rounded_to_8_bits():
    true = np.zeros((1, 4, 4, 3), "float32")
    pred = true + np.array([0.0, 0.003 / 128, 0.004 / 128], "float32")
    metric = DeltaE76()
    metric.update_state(true, pred)
    assert float(metric.result()) == pytest.approx(0.005, rel=1e-4)


def test_colourfulness_is_that_of_the_paper():
    rgb = pictures8(4)[0]
    red, green, blue = np.moveaxis(rgb.astype("float64"), -1, 0)
    axes = np.stack([red - green, (red + green) / 2 - blue])
    sigma = np.sqrt(axes.var((2, 3)).sum(0))
    mu = np.sqrt((axes.mean((2, 3)) ** 2).sum(0))
    np.testing.assert_allclose(colourfulness(rgb), sigma + 0.3 * mu, rtol=1e-5)


def test_colourfulness_of_flat_and_of_opposite_colours():
    gray = np.full((1, 4, 4, 3), 77, "uint8")
    red = np.zeros((1, 4, 4, 3), "uint8")
    red[..., 0] = 255
    both = red.copy()
    both[:, :, 2:] = [0, 255, 0]
    assert float(colourfulness(gray)[0]) == 0.0
    assert float(colourfulness(red)[0]) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-6)
    # Red beside green: rg is +-255, so all of it is spread; with |rg| the spread would be gone.
    assert float(colourfulness(both)[0]) == pytest.approx(255 + 0.3 * 127.5, rel=1e-6)


@pytest.mark.parametrize("function", [psnr, ssim, lambda a, b: colourfulness(a)])
def test_rgb_metrics_insist_on_8_bits_and_shape(function):
    with pytest.raises(TypeError, match="uint8, not float32"):
        function(*[np.zeros((1, 16, 16, 3), "float32")] * 2)
    with pytest.raises(ValueError, match=r"\(N, H, W, 3\)"):
        function(*[np.zeros((16, 16, 3), "uint8")] * 2)


@EVERY
def test_uneven_batches_give_the_value_of_the_whole_set(metric_class):
    true, pred = encoded_pair(5, count=7)
    metric = metric_class()
    values = np.asarray(metric.per_image(true, pred), "float64")
    assert values.shape == (7,)
    assert np.ptp(values) > 1e-4
    for start, stop in ((0, 4), (4, 5), (5, 7)):
        metric.update_state(true[start:stop], pred[start:stop])
    assert float(metric.result()) == pytest.approx(values.mean(), rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0


@EVERY
def test_sample_weights_count_per_image(metric_class):
    true, pred = encoded_pair(6, count=3)
    metric = metric_class()
    values = np.asarray(metric.per_image(true, pred))
    metric.update_state(true, pred, sample_weight=np.array([1.0, 0.0, 3.0]))
    assert float(metric.result()) == pytest.approx((values[0] + 3 * values[2]) / 4, rel=1e-6)


@EVERY
def test_config_round_trip(metric_class):
    options = {"cap": 50.0} if metric_class is PSNR else {}
    metric = metric_class(name="other", **options)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(copy) is metric_class
    assert copy.get_config() == metric.get_config()
    assert copy.get_config()["name"] == "other"


@EVERY
def test_graph_equals_eager(metric_class):
    true, pred = encoded_pair(7)
    eager, graph = metric_class(), metric_class()
    eager.update_state(true, pred)
    tf.function(graph.update_state)(tf.constant(true), tf.constant(pred))
    assert float(graph.result()) == pytest.approx(float(eager.result()), rel=1e-5)


def test_metrics_work_in_compile():
    true, _ = encoded_pair(8)
    model = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Rescaling([1.0, 0.0, 0.0])])
    model.compile(loss="mae", metrics=[cls() for cls in CLASSES])
    results = model.evaluate(true, true, batch_size=2, verbose=0, return_dict=True)
    lab = to_lab(true)
    gray = to_lab(true * np.array([1.0, 0.0, 0.0], "float32"))
    expected = np.mean(mean_delta_e_76(lab, gray))
    assert results["delta_e_76"] == pytest.approx(expected, rel=1e-5)
    assert results["colourfulness"] < 1.0
