import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from colorizer import models
from colorizer.models.dcgan import build_dcgan_generator
from colorizer.runtimes import load_network
from models_export import verification
from models_export.conversion import calibration_photos, write_network
from models_export.verification import Difference, verify_network
from pipelines.errors import ColorizerError

SIZE = 64
TINY: dict[str, dict[str, Any]] = {
    "cnn": {
        "encoder_filters": (4, 8, 8, 8, 8),
        "decoder_filters": (8, 4),
        "output_filters": (4, 4),
    },
    "unet": {
        "pool": 1,
        "filters": (4, 8, 8),
        "blocks": (0, 1, 0),
        "decoder_filters": (8, 4),
        "attention": True,
    },
    "dcgan": {"latent_size": 8, "filters": (8, 8, 4, 4)},
    "lite": {"decoder_filters": (8, 8, 8, 8), "head": "classes"},
}


@pytest.fixture(scope="module")
def networks() -> dict[str, keras.Model]:
    built = {}
    for name, arguments in TINY.items():
        keras.utils.set_random_seed(3)
        built[name] = models.build(name, image_size=SIZE, **arguments)
        # A fresh DCGAN gives no colour, fresh attention sees nothing: make differences visible.
        for weight in built[name].trainable_weights:
            if name == "dcgan" and weight.path.endswith("kernel"):
                weight.assign(8.0 * weight)
            if weight.path.endswith("attention/gamma"):
                weight.assign(1.0)
    return built


@pytest.fixture(scope="module")
def lightness() -> np.ndarray:
    """Smooth pictures, not all alike, [5, S, S, 1]."""
    down, across = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    pictures = [np.sin(k * down + across) * np.cos(across * (k - 1)) for k in range(1, 6)]
    return np.stack(pictures)[..., None].astype(np.float32)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("network_format", ["litert", "onnx"])
def test_every_network_goes_into_one_file(
    networks: dict[str, keras.Model],
    lightness: np.ndarray,
    tmp_path: Path,
    name: str,
    network_format: Any,
) -> None:
    path = write_network(networks[name], tmp_path, network_format)
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
    predict = load_network(tmp_path, SIZE)
    expected = networks[name](lightness, training=False).numpy()
    assert np.ptp(expected) > 1e-3
    for count in (1, 5, 2):
        np.testing.assert_allclose(predict(lightness[:count]), expected[:count], atol=1e-4)


@pytest.mark.parametrize(("quantize", "share"), [("float16", 0.51), ("int8", 0.36)])
def test_quantized_networks_are_smaller_and_nearly_the_same(
    networks: dict[str, keras.Model],
    lightness: np.ndarray,
    tmp_path: Path,
    quantize: Any,
    share: float,
) -> None:
    network = networks["lite"]
    write_network(network, tmp_path, "litert", quantize, lightness)
    difference = verify_network(tmp_path, network, quantize, lightness)
    assert 0 < difference.mean <= difference.max
    full_size = 4 * network.count_params()
    assert (tmp_path / "model.tflite").stat().st_size < share * full_size


def test_a_network_that_draws_noise_is_refused(tmp_path: Path) -> None:
    network = build_dcgan_generator(SIZE, filters=(8, 8, 4, 4), noise_at_inference=True)
    for network_format in ("litert", "onnx"):
        words = rf"^cannot be written as {network_format}: it has no StatelessRandom"
        with pytest.raises(ColorizerError, match=words):
            write_network(network, tmp_path, network_format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [0.05, float("nan")])
def test_other_weights_are_found(
    networks: dict[str, keras.Model], tmp_path: Path, change: float
) -> None:
    network = keras.models.clone_model(networks["cnn"])
    network.set_weights(networks["cnn"].get_weights())
    write_network(network, tmp_path, "litert")
    verify_network(tmp_path, network, None)
    layer = network.get_layer("output_3")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + change])
    with pytest.raises(ColorizerError, match="exported network differs from the Keras model"):
        verify_network(tmp_path, network, None)


def test_a_mean_difference_counts_where_the_largest_does_not(
    networks: dict[str, keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_network(networks["cnn"], tmp_path, "onnx")
    bound = Difference(max=float("inf"), mean=-1.0)
    monkeypatch.setitem(verification.NETWORK_TOLERANCES, "int8", bound)
    with pytest.raises(ColorizerError, match=r"differs from .*, more than mean -1$"):
        verify_network(tmp_path, networks["cnn"], "int8")


@pytest.mark.parametrize(
    ("network_format", "package"),
    [("litert", "ai_edge_litert"), ("onnx", "onnxruntime"), ("onnx", "tf2onnx")],
)
def test_without_its_package_a_format_is_a_clear_error(
    networks: dict[str, keras.Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network_format: Any,
    package: str,
) -> None:
    for module in (package, f"{package}.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    words = rf"{package}.*pip install 'photo-colorizer\[{network_format}\]'"
    with pytest.raises(ColorizerError, match=words):
        write_network(networks["cnn"], tmp_path, network_format)
    assert list(tmp_path.iterdir()) == []


def test_photos_to_calibrate_on(
    networks: dict[str, keras.Model], sample_photos: Path, tmp_path: Path
) -> None:
    photos = calibration_photos(sample_photos / "val", networks["cnn"])
    assert photos.shape == (8, SIZE, SIZE, 1) and photos.dtype == np.float32
    assert -1 <= photos.min() < -0.5 and 0.5 < photos.max() <= 1
    with pytest.raises(ColorizerError, match=str(tmp_path)):
        calibration_photos(tmp_path, networks["cnn"])
