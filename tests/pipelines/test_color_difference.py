import numpy as np
import pytest
import tensorflow as tf
from skimage import color

from pipelines.color_difference import delta_e_76, delta_e_2000

# Sharma, Wu and Dalal 2005, table 1: L1 a1 b1 L2 a2 b2 and CIEDE2000, all 34 pairs.
SHARMA_2005 = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)
DTYPES = ["float32", "float64"]
BOTH = pytest.mark.parametrize("difference", [delta_e_76, delta_e_2000])


def random_lab(seed: int, shape: tuple[int, ...] = (2000,)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform([0, -110, -110], [100, 110, 110], (*shape, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_published_pairs(dtype):
    assert SHARMA_2005.shape == (34, 7)
    lab1, lab2 = SHARMA_2005[:, :3].astype(dtype), SHARMA_2005[:, 3:6].astype(dtype)
    for first, second in ((lab1, lab2), (lab2, lab1)):
        got = delta_e_2000(first, second)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, SHARMA_2005[:, 6], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("spread", [200.0, 3.0], ids=["far", "near"])
def test_ciede2000_equals_scikit_image(dtype, tolerance, spread):
    lab1 = random_lab(0)
    lab2 = lab1 + np.random.default_rng(1).uniform(-spread / 2, spread / 2, lab1.shape)
    lab1, lab2 = lab1.astype(dtype), lab2.astype(dtype)
    expected = color.deltaE_ciede2000(lab1.astype("float64"), lab2.astype("float64"))
    np.testing.assert_allclose(delta_e_2000(lab1, lab2), expected, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cie76_equals_scikit_image(dtype):
    lab1, lab2 = random_lab(2, (7, 5)).astype(dtype), random_lab(3, (7, 5)).astype(dtype)
    np.testing.assert_allclose(
        delta_e_76(lab1, lab2), color.deltaE_cie76(lab1, lab2), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(delta_e_76(lab1, lab1 + np.array([0, 3, 4], dtype)), 5, rtol=1e-4)


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_finite_in_the_awkward_places(difference, dtype):
    gray, black, red = [50.0, 0.0, 0.0], [0.0, 0.0, 0.0], [53.2, 80.1, 67.2]
    opposite = [53.2, -80.1, -67.2]
    places = [gray, black, red, opposite]
    pairs = [(first, second) for first in places for second in places]
    lab1 = tf.constant(np.concatenate([[p[0] for p in pairs], random_lab(4)]), dtype)
    lab2 = tf.constant(np.concatenate([[p[1] for p in pairs], random_lab(5)]), dtype)
    with tf.GradientTape() as tape:
        tape.watch([lab1, lab2])
        total = tf.reduce_sum(difference(lab1, lab2))
    for gradient in tape.gradient(total, [lab1, lab2]):
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(gradient[0], np.zeros(3))
        assert np.abs(gradient[len(pairs) :]).max(axis=-1).min() > 1e-4


@BOTH
def test_gradient_is_that_of_the_finite_difference(difference):
    lab1, lab2 = random_lab(6, (200,)), random_lab(7, (200,))
    step = 1e-5
    with tf.GradientTape() as tape:
        variable = tf.Variable(lab1)
        total = tf.reduce_sum(difference(variable, lab2))
    gradient = tape.gradient(total, variable)
    for channel in range(3):
        offset = step * np.eye(3)[channel]
        up, down = difference(lab1 + offset, lab2), difference(lab1 - offset, lab2)
        np.testing.assert_allclose(gradient[:, channel], (up - down) / (2 * step), atol=1e-6)


@BOTH
def test_eager_equals_graph(difference):
    lab1 = random_lab(8, (3, 4)).astype("float32")
    lab2 = random_lab(9, (3, 4)).astype("float32")
    graph = tf.function(difference)(lab1, lab2)
    assert graph.shape == (3, 4)
    np.testing.assert_allclose(graph, difference(lab1, lab2), rtol=1e-5)


@BOTH
def test_refuses_what_it_cannot_measure(difference):
    lab = random_lab(10, (4,))
    with pytest.raises(TypeError, match="not float32 and float64"):
        difference(lab.astype("float32"), lab)
    with pytest.raises(TypeError, match="uint8"):
        difference(np.zeros((4, 3), "uint8"), np.zeros((4, 3), "uint8"))
    with pytest.raises(ValueError, match="3 channels"):
        difference(lab[:, :2], lab[:, :2])
