"""The network alone in one file, for runtimes without TensorFlow: LiteRT and ONNX.

    model.tflite, model.onnx    lightness float32 [N,S,S,1] in [-1,1] -> ab float32 [N,S,S,2]

Resizing and laying colours on at full size are left to whoever runs it; `colorizer.load` does.
"""

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from colorizer.models import network_size
from colorizer.runtimes import NETWORK_FILES, import_runtime
from pipelines import native_logs
from pipelines.batches import evaluation_batches
from pipelines.errors import ColorizerError
from pipelines.preparation import prepare_photos

NetworkFormat = Literal["litert", "onnx"]
Quantization = Literal["float16", "int8"]

CALIBRATION_LIMIT = 100

# The newest operator set that tf2onnx writes.
ONNX_OPSET = 18
# In int8 they took two fifths of the whole time and gained nothing: they stay in float32.
_FLOAT_OPERATIONS = ["SOFTMAX", "BATCH_MATMUL", "FULLY_CONNECTED"]


def write_network(
    model: keras.Model,
    folder: Path,
    network_format: NetworkFormat,
    quantize: Quantization | None = None,
    photos: np.ndarray | None = None,
) -> Path:
    """Writes `model` as one file into `folder`.

    Args:
        model: from `lightness` [N, S, S, 1] to `ab` [N, S, S, 2].
        folder: of the export.
        network_format: "litert" or "onnx".
        quantize: for LiteRT: "float16" stores weights in half precision; "int8" computes with
            8-bit integers, scaled by what `photos` give in each layer. Input and output stay
            float32.
        photos: lightness float32 [N, S, S, 1], for "int8".

    Raises:
        ColorizerError: the format cannot express the network, or its package is not installed.
    """
    # Before the work that could not be verified without it.
    import_runtime(network_format)
    path = folder / NETWORK_FILES[network_format]
    if network_format == "onnx":
        path.write_bytes(_as_onnx(model))
        return path
    with _converting(network_format), tempfile.TemporaryDirectory() as saved:
        _write_network_alone(model, Path(saved))
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved, signature_keys=["serving_default"]
        )
        content = _converted(converter, quantize, photos)
    path.write_bytes(content)
    return path


def calibration_photos(folder: Path, model: keras.Model) -> np.ndarray:
    """Reads the photos to calibrate on: at most `CALIBRATION_LIMIT`, evenly spaced.

    Returns:
        lightness float32 [N, S, S, 1] in [-1, 1].

    Raises:
        ColorizerError: there is no usable JPEG photo in `folder`.
    """
    prepared = prepare_photos(folder, image_size=network_size(model), limit=CALIBRATION_LIMIT)
    batches = evaluation_batches(prepared, 16)
    return np.concatenate([lightness for lightness, _ in batches.as_numpy_iterator()])


def _converted(converter: Any, quantize: Quantization | None, photos: np.ndarray | None) -> bytes:
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    content: bytes
    if quantize != "int8":
        content = converter.convert()
        return content
    assert photos is not None

    def examples() -> Iterator[list[np.ndarray]]:
        for photo in photos:
            yield [photo[None]]

    converter.representative_dataset = examples
    # TensorFlow's way of leaving operations out of the quantization.
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_FLOAT_OPERATIONS)
    quantizer = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=examples, debug_options=options
    )
    content = quantizer.get_nondebug_quantized_model()
    return content


def _as_onnx(model: keras.Model) -> bytes:
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ColorizerError(
            f"files as onnx are written by {error.name}: pip install 'photo-colorizer[onnx]'"
        ) from error
    with _converting("onnx"):
        network, seen = _network(model)
        converted, _ = tf2onnx.convert.from_function(network, [seen], opset=ONNX_OPSET)
        # What it does not know tf2onnx leaves as it is.
        used = {node.op_type for node in converted.graph.node if not node.domain}
        if lacking := sorted(name for name in used if not onnx.defs.has(name)):
            raise ValueError(f"it has no {', '.join(lacking)}")
        content: bytes = converted.SerializeToString()
    return content


def _write_network_alone(model: keras.Model, folder: Path) -> None:
    network, seen = _network(model)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", network, [seen])
    archive.write_out(str(folder), verbose=False)


def _network(model: keras.Model) -> tuple[Any, tf.TensorSpec]:
    size = network_size(model)
    seen = tf.TensorSpec([None, size, size, 1], tf.float32, name="lightness")

    @tf.function(input_signature=[seen], autograph=False)
    def network(lightness: Any) -> dict[str, Any]:
        return {"ab": tf.cast(model(lightness, training=False), tf.float32)}

    return network, seen


@contextmanager
def _converting(network_format: str) -> Iterator[None]:
    """Holds back what the converters print, and says in a line why one fails."""
    failure: Exception | None = None
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with native_logs.held_back(), warnings.catch_warnings():
            # The converters use parts of TensorFlow that are on their way out.
            warnings.simplefilter("ignore")
            try:
                yield
            except Exception as error:
                failure = error
    finally:
        logging.disable(level)
    if failure is not None:
        # The first of LiteRT's lines is a page wide.
        lacking = sorted(set(re.findall(r"'tf\.(\w+)' op", str(failure))))
        first = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
        reason = f"it has no {', '.join(lacking)}" if lacking else first
        raise ColorizerError(f"cannot be written as {network_format}: {reason}") from failure
