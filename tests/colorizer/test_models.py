import keras
import numpy as np
import pytest
from imagenet_weights import installed_weights

from colorizer import losses, models
from colorizer.models.cnn import build_cnn
from colorizer.pretrained.folding import load_folded_imagenet_weights
from colorizer.training.precision import dtype_policy

UNET = {"filters": (4, 6, 8), "blocks": (0, 1, 1), "decoder_filters": (6, 4)}
ATTENTIVE = UNET | {"attention": True, "decoder_filters": (8, 4)}
LITE = {"decoder_filters": (8, 8, 8, 8)}
CLASSES = LITE | {"head": "classes", "attention": True}
TINY = {
    "encoder_filters": (4, 6, 8, 8, 8),
    "decoder_filters": (8, 4),
    "output_filters": (4, 3),
}


@pytest.fixture
def lightness():
    return np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 1)).astype(np.float32)


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def test_cnn_has_the_layers_of_the_report_in_their_order():
    convolution, norm, relu = "Conv2D", "BatchNormalization", "LeakyReLU"
    block = [convolution, norm, relu]
    encoder = [convolution, relu, *block, "MaxPooling2D", *block, *block, "MaxPooling2D", *block]
    decoder = ["UpSampling2D", *block, "UpSampling2D", convolution, relu, "Resizing"]
    output = ["Concatenate", *block, convolution, relu, convolution, "Activation"]
    assert kinds(build_cnn(64, **TINY)) == ["InputLayer", *encoder, *decoder, *output]


def test_cnn_filters_are_those_asked_for():
    model = build_cnn(64, **TINY)
    filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert filters == [4, 6, 8, 8, 8, 8, 4, 4, 3, 2]
    assert model.get_layer("with_lightness").output.shape == (None, 64, 64, 5)
    assert model.get_layer("ab").activation is keras.activations.tanh


@pytest.mark.parametrize("image_size", [32, 50, 64])
def test_cnn_predicts_ab_of_the_input_size(image_size):
    model = build_cnn(image_size, **TINY)
    assert model.input.name == "lightness" and model.output_names == ["ab"]
    ab = model.predict_on_batch(np.zeros((1, image_size, image_size, 1), np.float32))
    assert ab.shape == (1, image_size, image_size, 2) and ab.dtype == np.float32


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("encoder_filters", (4, 4), "encoder_filters must have 5"),
        ("encoder_strides", (2,), "encoder_strides must have 5"),
        ("decoder_filters", (4,), "decoder_filters must have 2"),
        ("output_filters", (4, 4, 4), "output_filters must have 2"),
        ("image_size", 16, "at least 32"),
    ],
)
def test_cnn_refuses_wrong_arguments(argument, value, message):
    with pytest.raises(ValueError, match=message):
        build_cnn(**{"image_size": 64, **TINY, argument: value})


def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="'rnn'; there are cnn, dcgan, lite, unet"):
        models.build("rnn")


def test_unknown_discriminator_is_refused():
    with pytest.raises(ValueError, match="'rnn'; there are dcgan, patch"):
        models.build_discriminator("rnn")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("cnn", TINY), ("unet", UNET), ("unet", ATTENTIVE), ("lite", LITE), ("lite", CLASSES)],
)
def test_saves_and_loads_equal(tmp_path, lightness, name, arguments):
    model = models.build(name, image_size=64, **arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(
        model.predict_on_batch(lightness), loaded.predict_on_batch(lightness)
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("name", "arguments"), [("cnn", TINY), ("unet", UNET), ("lite", LITE)])
def test_training_changes_every_weight_in_each_precision(policy, lightness, name, arguments):
    with dtype_policy(policy):
        model = models.build(name, image_size=64, **arguments)
        if name == "lite":
            # Without normalization random weights let the gradient vanish in half precision.
            installed_weights("lite0")
            load_folded_imagenet_weights(model, "lite0")
        model.compile("adam", loss=losses.huber, jit_compile=False)
    assert keras.config.dtype_policy().name == "float32"
    before = [weight.copy() for weight in model.get_weights()]
    ab = np.full((2, 64, 64, 2), 0.1, np.float32)
    # float16 skips the steps in which its loss scale is still too high.
    for _ in range(8):
        logs = model.train_on_batch(lightness, ab, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert model.predict_on_batch(lightness).dtype == np.float32
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        # A bias before batch normalization has no effect and so no gradient but rounding.
        if not weight.path.endswith("bias"):
            assert np.abs(new - old).max() > 0, weight.path


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("decoder", [(6,), (6, 4), (6, 4, 4)])
def test_unet_predicts_ab_at_the_last_level_s_size(pool, decoder):
    arguments = UNET | {"pool": pool, "decoder_filters": decoder}
    model = models.build("unet", image_size=64, **arguments)
    assert model.input.name == "lightness" and model.output_names == ["ab"]
    side = 64 // pool // 2 ** (3 - len(decoder))
    assert model.get_layer("ab_small").output.shape == (None, side, side, 2)
    assert model.output.shape == (None, 64, 64, 2) and model.output.dtype == "float32"


def test_unet_has_a_skip_at_each_decoder_level():
    model = models.build("unet", image_size=64, **UNET)
    names = [layer.name for layer in model.layers if layer.name.endswith("with_skip")]
    assert len(names) == len(UNET["decoder_filters"])
    for name in names:
        level_up, skip = model.get_layer(name).input
        assert level_up.shape[1:3] == skip.shape[1:3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": (1, 1)}, "blocks must have 3 entries"),
        ({"decoder_filters": ()}, "1 to 3 entries, not 0"),
        ({"decoder_filters": (4,) * 4}, "1 to 3 entries, not 4"),
        ({"image_size": 40}, "a multiple of 16, not 40"),
    ],
)
def test_unet_refuses_wrong_arguments(changed, message):
    with pytest.raises(ValueError, match=message):
        models.build("unet", **({"image_size": 64} | UNET | changed))


@pytest.mark.parametrize(
    ("seen", "filters", "kernel"),
    [((64, 64, 3), 2, 1), ((64, 64, 1), 3, 1), ((64, 64, 1), 2, 3), ((None, None, 1), 2, 1)],
    ids=["reads colours", "predicts three", "predicts a smaller one", "has no size"],
)
def test_other_networks_are_no_colorizers(seen, filters, kernel):
    model = keras.Sequential([keras.Input(seen), keras.layers.Conv2D(filters, kernel)])
    with pytest.raises(ValueError, match="a colorizer maps"):
        models.network_size(model)


def test_network_size():
    assert models.network_size(build_cnn(50, **TINY)) == 50


@pytest.mark.parametrize("arguments", [LITE, CLASSES], ids=["regression", "classes"])
def test_lite_unet_predicts_ab_at_a_quarter_of_the_side(arguments):
    model = models.build("lite", image_size=64, **arguments)
    assert model.input.name == "lightness" and model.output_names == ["ab"]
    assert model.get_layer("ab_small").output.shape == (None, 16, 16, 2)
    assert model.output.shape == (None, 64, 64, 2) and model.output.dtype == "float32"
    strides = [model.get_layer(f"decoder_{stride}").output.shape[1] for stride in (32, 16, 8, 4)]
    assert strides == [2, 4, 8, 16]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_size": 48}, "a multiple of 32, not 48"),
        ({"decoder_filters": (8, 8)}, "4 entries, not 2"),
        ({"head": "mixture"}, "regression or classes, not 'mixture'"),
        ({"variant": "lite9"}, "not 'lite9'"),
    ],
)
def test_lite_unet_refuses_wrong_arguments(changed, message):
    with pytest.raises(ValueError, match=message):
        models.build("lite", **({"image_size": 64} | LITE | changed))
