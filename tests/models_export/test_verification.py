from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from skimage.color import rgb2lab

from models_export.signatures import write_saved_model
from models_export.verification import TOLERANCES, graph_ops, reference_ab, reference_rgb, verify
from pipelines.errors import ColorizerError


@pytest.fixture
def model(tiny_run: Path) -> keras.Model:
    return keras.saving.load_model(tiny_run / "model.keras", compile=False)


@pytest.fixture(scope="module")
def saved(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    write_saved_model(keras.saving.load_model(tiny_run / "model.keras", compile=False), folder)
    return folder


def test_right_export_passes_with_room_to_spare(saved: Path, model: keras.Model) -> None:
    differences = verify(saved, model)
    assert set(differences) == set(TOLERANCES)
    assert differences["predict_ab"] < 1e-5
    assert differences["colorize_rgb"] <= 1
    assert differences["colorize_bytes"] == differences["serving_default"] <= 1


@pytest.mark.parametrize("change", [0.05, float("nan")])
def test_other_weights_are_found(saved: Path, model: keras.Model, change: float) -> None:
    layer = model.get_layer("output_3")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + change])
    with pytest.raises(ColorizerError, match="exported predict_ab differs from the Keras model"):
        verify(saved, model)


def test_missing_signature_is_found(tmp_path: Path, model: keras.Model) -> None:
    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec([None, 64, 64, 1], tf.float32, name="lightness")
    archive.add_endpoint("predict_ab", lambda lightness: {"ab": model(lightness)}, [spec])
    archive.write_out(str(tmp_path), verbose=False)
    with pytest.raises(ColorizerError, match="no signature colorize_rgb"):
        verify(tmp_path, model)


def test_wrong_names_are_found(tmp_path: Path, model: keras.Model) -> None:
    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec([None, 64, 64, 1], tf.float32, name="gray")
    archive.add_endpoint("predict_ab", lambda gray: {"ab": model(gray)}, [spec])
    archive.write_out(str(tmp_path), verbose=False)
    with pytest.raises(ColorizerError, match=r"predict_ab has .*gray.* where .*lightness"):
        verify(tmp_path, model)


def test_python_in_the_graph_is_found(tmp_path: Path, model: keras.Model) -> None:
    def through_python(lightness: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda values: values, [lightness], tf.float32)

    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec([None], tf.float32, name="lightness")
    archive.add_endpoint("predict_ab", through_python, [spec])
    archive.write_out(str(tmp_path), verbose=False)
    assert "PyFunc" in graph_ops(tmp_path)
    with pytest.raises(ColorizerError, match="exported graph calls Python"):
        verify(tmp_path, model)


def test_reference_at_the_networks_size_is_the_model(model: keras.Model) -> None:
    lightness = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 1)).astype("float32")
    ab = model(lightness, training=False)
    np.testing.assert_allclose(reference_ab(model, lightness), ab, atol=1e-6)


def test_reference_keeps_size_and_lightness(model: keras.Model) -> None:
    gray = np.repeat(np.arange(60, 200, dtype=np.uint8)[None, :, None], 3, axis=-1)
    gray = np.broadcast_to(gray, (33, 140, 3))
    colorized = reference_rgb(model, gray)
    assert colorized.shape == gray.shape and colorized.dtype == np.uint8
    assert np.abs(rgb2lab(colorized)[..., 0] - rgb2lab(gray)[..., 0]).max() < 0.5
