import keras
import numpy as np
import pytest
from imagenet_weights import installed_weights

from colorizer.models.efficientnet_lite import (
    STRIDES,
    build_efficientnet_lite,
    feature_layers,
)
from colorizer.models.lite_unet import build_lite_unet, is_of_encoder
from colorizer.pretrained.efficientnet_lite_weights import load_imagenet_weights
from colorizer.pretrained.folding import load_folded_imagenet_weights

SIZE = 64


def features(network: keras.Model, folded: bool) -> keras.Model:
    names = feature_layers("lite0", folded=folded)
    return keras.Model(network.input, [network.get_layer(names[s]).output for s in STRIDES])


@pytest.fixture(scope="module")
def original() -> keras.Model:
    installed_weights("lite0")
    network = build_efficientnet_lite("lite0", SIZE, include_top=False)
    load_imagenet_weights(network, "lite0")
    return network


@pytest.fixture
def lightness() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 1)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folded_encoder_computes_what_the_original_does(original, lightness, channels):
    folded = build_efficientnet_lite(
        "lite0", SIZE, include_top=False, channels=channels, folded=True
    )
    load_folded_imagenet_weights(folded, "lite0")
    assert not [x for x in folded.layers if isinstance(x, keras.layers.BatchNormalization)]
    expected = features(original, folded=False).predict_on_batch(np.repeat(lightness, 3, axis=-1))
    got = features(folded, folded=True).predict_on_batch(np.repeat(lightness, channels, axis=-1))
    for stride, one, other in zip(STRIDES, got, expected, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=1e-5 * scale, err_msg=f"stride {stride}")


def test_only_the_encoder_of_a_network_is_set(original):
    network = build_lite_unet(SIZE, decoder_filters=(8, 8, 8, 8))
    before = {weight.path: np.array(weight) for weight in network.weights}
    load_folded_imagenet_weights(network, "lite0")
    for layer in network.layers:
        for weight in layer.weights:
            changed = not np.array_equal(before[weight.path], weight)
            assert changed == is_of_encoder(layer), weight.path


def test_a_network_without_encoder_is_refused():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="dense")
    with pytest.raises(ValueError, match="dense has no encoder of EfficientNet-Lite0"):
        load_folded_imagenet_weights(network, "lite0")
