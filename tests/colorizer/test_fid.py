from pathlib import Path

import keras
import numpy as np
import pytest

from colorizer.metrics.fid import DIMENSIONS, InceptionFeatures, fid, inception_weights_path
from pipelines.errors import ColorizerError, UsageError


def with_moments(seed: int, mean: np.ndarray, spread: np.ndarray, count: int) -> np.ndarray:
    """A sample whose mean and covariance are exactly `mean` and diag(spread^2)."""
    values = np.random.default_rng(seed).normal(size=(count, len(mean)))
    values -= values.mean(axis=0)
    left, _, right = np.linalg.svd(values, full_matrices=False)
    return left @ right * np.sqrt(count - 1) * spread + mean


def test_diagonal_gaussians_have_a_closed_form():
    m1, m2 = np.array([0.0, 1.0, -2.0]), np.array([0.5, 1.0, 3.0])
    s1, s2 = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5])
    real, fake = with_moments(1, m1, s1, 40), with_moments(2, m2, s2, 25)
    expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert fid(real, fake) == pytest.approx(expected, rel=1e-9)
    assert fid(fake, real) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [60, 7])
def test_fid_equals_the_formula_with_matrix_square_roots(count):
    rng = np.random.default_rng(3)
    real = rng.normal(size=(count, 12)) @ rng.normal(size=(12, 12))
    fake = rng.normal(size=(count, 12)) @ rng.normal(size=(12, 12)) + 0.5

    def root(matrix: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    c1, c2 = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    half = root(c1)
    mixed = np.trace(root(half @ c2 @ half))
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(c1 + c2) - 2 * mixed
    assert fid(real, fake) == pytest.approx(expected, rel=1e-6)


def test_identical_sets_and_a_constant_shift():
    real = np.random.default_rng(4).normal(size=(9, 5)).astype("float32")
    assert fid(real, real.copy()) == pytest.approx(0.0, abs=1e-12)
    assert fid(real, real + np.float32(2.0)) == pytest.approx(5 * 4.0, rel=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (np.ones((4, 3)), np.ones((4, 2)), r"\(4, 3\), \(4, 2\)"),
        (np.ones((4, 3)), np.ones((1, 3)), "at least 2 photos, got 4 and 1"),
        (np.ones((4, 3)), np.full((2, 3), np.inf), "not finite"),
    ],
)
def test_what_is_no_pair_of_feature_sets_is_refused(real, fake, words):
    with pytest.raises(ValueError, match=words):
        fid(real, fake)


def test_weights_lie_where_keras_keeps_them(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert inception_weights_path() == tmp_path / ".keras" / "models" / name
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert inception_weights_path() == tmp_path / "elsewhere" / "models" / name
    with pytest.raises(UsageError, match=f"{inception_weights_path()}: no such file"):
        InceptionFeatures()


def test_features_are_those_of_the_network_in_the_file(tmp_path):
    keras.utils.set_random_seed(5)
    options = {"include_top": False, "weights": None, "pooling": "avg"}
    network = keras.applications.InceptionV3(**options, input_shape=(299, 299, 3))
    path: Path = tmp_path / "inception.h5"
    network.save(path)
    features = InceptionFeatures(path, batch_size=2)
    rgb = np.random.default_rng(6).integers(0, 256, (3, 299, 299, 3)).astype("uint8")
    values = features(rgb)
    assert values.shape == (3, DIMENSIONS)
    assert values.dtype == np.float32
    inputs = keras.applications.inception_v3.preprocess_input(rgb.astype("float32"))
    expected = network(inputs, training=False)
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4 * np.abs(values).max())
    assert np.ptp(values, axis=0).max() > 0
    assert features(rgb[:, :40, :50]).shape == (3, DIMENSIONS)


def test_a_file_of_another_sort_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"no weights at all")
    with pytest.raises(ColorizerError, match=f"{path}: does not hold InceptionV3's weights"):
        InceptionFeatures(path)
