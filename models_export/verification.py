"""Checks an export against the Keras model that it was made from.

The reference of a SavedModel goes another way than the graph: Pillow decodes and resizes (in
float, no rounding between), the Keras model predicts eagerly. Both resize with the same triangle
filter.
"""

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import PIL.Image
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from colorizer.guidance.propagation import with_hints
from colorizer.models import network_size
from colorizer.runtimes import load_network
from pipelines import color
from pipelines.errors import ColorizerError

INPUTS = {
    "predict_ab": ("lightness", "float32", 4),
    "colorize_rgb": ("rgb", "uint8", 4),
    "colorize_bytes": ("image_bytes", "string", 1),
    "serving_default": ("image_bytes", "string", 1),
    "colorize_hinted": ("image_bytes", "string", 1),
}
HINTS = ("hints", "float32", 3)
"""The second input of colorize_hinted."""
OUTPUTS = {
    "predict_ab": ("ab", "float32", 4),
    "colorize_rgb": ("colorized", "uint8", 4),
    "colorize_bytes": ("colorized_bytes", "string", 1),
    "serving_default": ("colorized_bytes", "string", 1),
    "colorize_hinted": ("colorized_bytes", "string", 1),
}

# ab in [-1, 1]: 1e-3 is 0.13 Lab, unseen, and leaves room for convolutions in TF32 on a GPU.
# 8-bit levels: where a value lies between two, the last digit decides; 1e-3 in the ab of a dark
# colour, where sRGB is steepest, adds a level.
TOLERANCES = {
    "predict_ab": 1e-3,
    "colorize_rgb": 2.0,
    "colorize_bytes": 2.0,
    "serving_default": 2.0,
    "colorize_hinted": 2.0,
}
UNITS = {
    "predict_ab": "of ab in [-1, 1]",
    "colorize_rgb": "of 255 levels",
    "colorize_bytes": "of 255 levels",
    "serving_default": "of 255 levels",
    "colorize_hinted": "of 255 levels",
}


class Difference(NamedTuple):
    """How far ab, in [-1, 1], lies from the Keras model's.

    Attributes:
        max: the largest absolute difference.
        mean: of the absolute differences, over all pictures.
    """

    max: float
    mean: float

    def __str__(self) -> str:
        """Names both, and leaves out what has no bound."""
        named = {"max": self.max, "mean": self.mean}
        return ", ".join(f"{name} {value:.2g}" for name, value in named.items() if value < math.inf)


# For a network in one file. Half precision is off by 4e-4 in the vivid style, the worst we saw.
# Of 8-bit integers single pixels say little: the faithful style is off by 0.007 on the mean, the
# vivid one by 0.013, which costs 0.2 dB each; a network that went wrong is off by 0.1 and more.
NETWORK_TOLERANCES = {
    None: Difference(max=1e-3, mean=1e-3),
    "float16": Difference(max=1e-2, mean=1e-3),
    "int8": Difference(max=math.inf, mean=0.03),
}

# These call back into the Python process that traced them: no other process can run them.
PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


def verify(folder: Path, model: keras.Model) -> dict[str, float]:
    """Reloads the SavedModel in `folder` and compares every signature with `model`.

    The inputs are smooth and random pictures: of the network's size, smaller, larger, wide and
    tall; as JPEG and PNG, gray and in colour.

    Returns:
        The largest absolute difference for each signature, in the unit that UNITS names.

    Raises:
        ColorizerError: a signature is missing or has other names or types, the graph calls
            Python, or a difference is above TOLERANCES.
    """
    python_ops = PYTHON_OPS & graph_ops(folder)
    if python_ops:
        raise ColorizerError(f"exported graph calls Python ({', '.join(sorted(python_ops))})")
    loaded = tf.saved_model.load(str(folder))
    for name in INPUTS:
        _check_signature(name, loaded.signatures)
    measures = {
        "predict_ab": _difference_of_ab,
        "colorize_rgb": _difference_of_rgb,
        "colorize_bytes": _difference_of_bytes,
        "serving_default": _difference_of_bytes,
        "colorize_hinted": _difference_of_hinted,
    }
    differences = {}
    for name, measure in measures.items():
        difference = measure(loaded.signatures[name], model)
        # Not "difference > tolerance": NaN must fail as well.
        if not difference <= TOLERANCES[name]:
            raise ColorizerError(
                f"exported {name} differs from the Keras model by {difference:.2g} {UNITS[name]}, "
                f"more than {TOLERANCES[name]:g}"
            )
        differences[name] = difference
    return differences


def verify_network(
    folder: Path, model: keras.Model, quantize: str | None, photos: np.ndarray | None = None
) -> Difference:
    """Runs the network in `folder` in its own runtime and compares its ab with that of `model`.

    Args:
        folder: an export in one file.
        model: what it was made from.
        quantize: how it was quantized.
        photos: lightness [N, S, S, 1] to compare on; left out: a smooth and a random picture.

    Raises:
        ColorizerError: its runtime is not installed, the shapes differ, or a difference is above
            NETWORK_TOLERANCES.
    """
    size = network_size(model)
    if photos is None:
        lightness, _ = color.rgb_to_lightness_ab(_batches(size)[0].astype(np.float32) / 255.0)
        photos = keras.ops.convert_to_numpy(lightness)
    predict = load_network(folder, size)
    # One alone and some at once: the number of pictures is free.
    batches = [photos[:1], *(photos[start : start + 8] for start in range(0, len(photos), 8))]
    apart = []
    for batch in batches:
        expected = keras.ops.convert_to_numpy(model(batch, training=False))
        found = predict(batch)
        if found.shape != expected.shape:
            raise ColorizerError(f"exported network gives {found.shape}, not {expected.shape}")
        apart.append(np.abs(found - expected))
    difference = Difference(
        max=float(max(part.max() for part in apart)),
        mean=float(np.concatenate(apart[1:]).mean()),
    )
    allowed = NETWORK_TOLERANCES[quantize]
    # Not "difference > allowed": NaN must fail as well.
    if not (difference.max <= allowed.max and difference.mean <= allowed.mean):
        raise ColorizerError(
            f"exported network differs from the Keras model: {difference} of ab in [-1, 1], more "
            f"than {allowed}"
        )
    return difference


def graph_ops(folder: Path) -> set[str]:
    """Returns the names of all operations in a SavedModel, those inside its functions included.

    Calls of the graph's own functions come under the names of the calling operations.
    """
    saved = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found: set[str] = set()
    for meta_graph in saved.meta_graphs:
        graph = meta_graph.graph_def
        found.update(node.op for node in graph.node)
        found.update(node.op for function in graph.library.function for node in function.node_def)
    return found


def reference_ab(model: keras.Model, lightness: np.ndarray) -> np.ndarray:
    """Predicts ab [N, H, W, 2] for `lightness` [N, H, W, 1] of any size, by the Keras model."""
    size = network_size(model)
    small = np.stack([_resized(picture, size, size) for picture in lightness])
    ab = keras.ops.convert_to_numpy(model(small, training=False))
    height, width = lightness.shape[1:3]
    return np.stack([_resized(picture, height, width) for picture in ab])


def reference_rgb(
    model: keras.Model, rgb: np.ndarray, hints: np.ndarray | None = None
) -> np.ndarray:
    """Colours one uint8 RGB picture [H, W, 3] by the Keras model; the answer has its lightness.

    Args:
        model: the network.
        rgb: the picture.
        hints: float32 [K, 5], as colorize_hinted takes them.
    """
    size = network_size(model)
    picture = rgb.astype(np.float32) / 255.0
    lightness, _ = color.rgb_to_lightness_ab(_resized(picture, size, size))
    ab = keras.ops.convert_to_numpy(model(lightness[None], training=False))[0]
    if hints is not None:
        ab = with_hints(lightness, ab, hints, rgb.shape[1] / rgb.shape[0]).numpy()
    lightness, _ = color.rgb_to_lightness_ab(picture)
    colorized = color.lightness_ab_to_rgb(lightness, _resized(ab, *rgb.shape[:2]))
    return np.rint(keras.ops.convert_to_numpy(colorized) * 255.0).astype(np.uint8)


def _check_signature(name: str, signatures: Any) -> None:
    if name not in signatures:
        raise ColorizerError(f"exported model has no signature {name}")
    _, inputs = signatures[name].structured_input_signature
    wanted = [INPUTS[name], HINTS] if name == "colorize_hinted" else [INPUTS[name]]
    for expected, specs in (
        (wanted, inputs),
        ([OUTPUTS[name]], signatures[name].structured_outputs),
    ):
        found = [(key, spec.dtype.name, spec.shape.rank) for key, spec in specs.items()]
        if sorted(found) != sorted(expected):
            raise ColorizerError(f"exported {name} has {found} where {expected} belongs")


def _difference_of_ab(signature: Any, model: keras.Model) -> float:
    differences = []
    for pictures in _batches(network_size(model)):
        lightness, _ = color.rgb_to_lightness_ab(pictures.astype(np.float32) / 255.0)
        lightness = keras.ops.convert_to_numpy(lightness)
        ab = signature(lightness=tf.constant(lightness))["ab"].numpy()
        differences.append(_difference(ab, reference_ab(model, lightness)))
    return max(differences)


def _difference_of_rgb(signature: Any, model: keras.Model) -> float:
    differences = []
    for pictures in _batches(network_size(model)):
        colorized = signature(rgb=tf.constant(pictures))["colorized"].numpy()
        expected = np.stack([reference_rgb(model, picture) for picture in pictures])
        differences.append(_difference(colorized, expected))
    return max(differences)


def _difference_of_bytes(signature: Any, model: keras.Model) -> float:
    files = _files(network_size(model))
    answers = signature(image_bytes=tf.constant(files))["colorized_bytes"].numpy()
    return max(
        _difference(_decoded(answer), reference_rgb(model, _decoded(file)))
        for file, answer in zip(files, answers, strict=True)
    )


def _difference_of_hinted(signature: Any, model: keras.Model) -> float:
    files = _files(network_size(model))
    hints = np.random.default_rng(1).uniform(0, 1, (len(files), 3, 5)).astype(np.float32)
    hints[..., 2:] *= 255
    # Some photos have fewer than others.
    hints[::2, 2:, 0] = -1
    answers = signature(image_bytes=tf.constant(files), hints=tf.constant(hints))
    return max(
        _difference(_decoded(answer), reference_rgb(model, _decoded(file), own))
        for file, own, answer in zip(files, hints, answers["colorized_bytes"].numpy(), strict=True)
    )


def _files(size: int) -> list[bytes]:
    """The pictures of `_batches` as JPEG and PNG, in colour and in gray."""
    files = []
    for pictures in _batches(size):
        smooth, noise = (PIL.Image.fromarray(picture) for picture in pictures)
        files += [_encoded(smooth, "JPEG"), _encoded(noise, "JPEG"), _encoded(noise, "PNG")]
    gray = smooth.convert("L")
    return [*files, _encoded(gray, "JPEG"), _encoded(gray, "PNG")]


def _batches(size: int) -> list[np.ndarray]:
    """Two pictures each, one smooth and one random, uint8 [2, H, W, 3]."""
    shapes = [
        (size, size),
        (size // 2 + 3, size // 3 + 2),
        (size // 2, 2 * size),
        (size + 31, size - 5),
    ]
    random = np.random.default_rng(0)
    batches = []
    for height, width in shapes:
        down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        smooth = np.stack([down, across, 1.0 - down * across], axis=-1) * 255.0
        noise = random.integers(0, 256, (height, width, 3))
        batches.append(np.stack([smooth, noise]).astype(np.uint8))
    return batches


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes float32 [H, W, C] with Pillow, plane by plane: bilinear, antialiased down."""
    planes = [
        PIL.Image.fromarray(np.ascontiguousarray(picture[..., channel])).resize(
            (width, height), PIL.Image.Resampling.BILINEAR
        )
        for channel in range(picture.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _encoded(picture: PIL.Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def _decoded(encoded: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture.convert("RGB"))


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest absolute difference; infinity where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64))))
