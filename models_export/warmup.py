"""Warm-up records: requests that a server replays on a new version before it answers.

    assets.extra/tf_serving_warmup_requests   a TFRecord of PredictionLog messages

TensorFlow Serving's own format: `models_export.export` writes it, TensorFlow Serving and
`models_export.serve` replay it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from models_export.serving.messages import Field, message_class
from models_export.versions import EXTRA

PLACE = Path(EXTRA) / "tf_serving_warmup_requests"
MAX_RECORDS = 1000
"""TensorFlow Serving loads no version with more."""

# prediction_log.proto, predict.proto, model.proto. A TensorProto lies on the wire as bytes do.
_MESSAGES = {
    "PredictionLog": {"predict_log": Field("PredictLog", 6)},
    "PredictLog": {"request": Field("PredictRequest", 1)},
    "PredictRequest": {
        "model_spec": Field("ModelSpec", 1),
        "inputs": Field("Input", 2, repeated=True),
    },
    "ModelSpec": {"name": Field("string", 1), "signature_name": Field("string", 3)},
    "Input": {"key": Field("string", 1), "value": Field("bytes", 2)},
}

Request = tuple[str, Mapping[str, np.ndarray]]


def write_warmup(folder: Path, name: str, requests: list[Request]) -> None:
    """Writes the records of a SavedModel.

    Args:
        folder: the SavedModel.
        name: the model's name.
        requests: signatures and their inputs; strings are arrays of `bytes` objects.
    """
    log = message_class("PredictionLog", _MESSAGES)
    path = folder / PLACE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            record = log()
            request = record.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                tensor = tf.make_tensor_proto(value).SerializeToString()
                request.inputs.add(key=key, value=tensor)
            writer.write(record.SerializeToString())


def read_warmup(folder: Path) -> Iterator[Request]:
    """Reads the records of a SavedModel; none where it has none.

    Raises:
        ValueError: they are damaged, or there are more than `MAX_RECORDS`.
    """
    path = folder / PLACE
    if not path.is_file():
        return
    log = message_class("PredictionLog", _MESSAGES)
    try:
        for number, content in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()):
            if number == MAX_RECORDS:
                raise ValueError(f"{path}: more than {MAX_RECORDS} warm-up records")
            yield _request(log.FromString(content))
    except (tf.errors.OpError, DecodeError) as error:
        raise ValueError(f"{path}: is damaged: {error}") from error


def _request(record: Any) -> Request:
    request = record.predict_log.request
    inputs = {}
    for one in request.inputs:
        tensor = tf.make_tensor_proto(0)
        tensor.ParseFromString(one.value)
        inputs[one.key] = tf.make_ndarray(tensor)
    return request.model_spec.signature_name, inputs


def example_requests(image_size: int) -> list[Request]:
    """A request for each signature of an exported colorizer, so that all of it is warm.

    Args:
        image_size: side of the square that its network sees.
    """
    shades = np.linspace(0, 255, image_size).astype(np.uint8)
    rgb = np.broadcast_to(shades[:, None, None], (image_size, image_size, 3))
    photo = np.array([tf.io.encode_jpeg(rgb).numpy()], object)
    lightness = rgb[None, :, :, :1].astype(np.float32) / 127.5 - 1.0
    return [
        ("serving_default", {"image_bytes": photo}),
        ("colorize_bytes", {"image_bytes": photo}),
        ("colorize_rgb", {"rgb": rgb[None]}),
        ("predict_ab", {"lightness": lightness}),
        (
            "colorize_hinted",
            {"image_bytes": photo, "hints": np.array([[[0.5, 0.5, 200, 60, 60]]], np.float32)},
        ),
    ]
