"""From output tensors to the JSON of a predict response (TensorFlow Serving's json_tensor.cc)."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from models_export.serving.statuses import invalid

# A string output whose name ends so holds bytes, and goes as {"b64": ...}.
BYTES_SUFFIX = "_bytes"
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def predict_response(outputs: Mapping[str, np.ndarray], row_format: bool) -> bytes:
    """Writes the answer to a predict request: `predictions` (rows) or `outputs` (columns).

    Floats have the fewest digits that read back as the same float. One output omits its name.

    Args:
        outputs: tensors by name; strings are arrays of `bytes` objects.
        row_format: whether the request came as `instances`.

    Raises:
        ServingError: there is no output; or rows are asked for, and the outputs do not share
            their first dimension.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if not row_format:
        return b'{"outputs": ' + _together(outputs) + b"}"
    rows = _row_count(outputs)
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        return b'{"predictions": ' + _json(name, tensor) + b"}"
    items = []
    for row in range(rows):
        # Not tensor[row], which of strings is no array any more.
        own = {
            name: tensor[row : row + 1].reshape(tensor.shape[1:])
            for name, tensor in outputs.items()
        }
        items.append(_together(own))
    return b'{"predictions": [' + b", ".join(items) + b"]}"


def error_response(message: str) -> bytes:
    """Writes `{"error": message}`."""
    return json.dumps({"error": message}, ensure_ascii=False).encode(errors="replace")


def _row_count(outputs: Mapping[str, np.ndarray]) -> int:
    rows = -1
    for name, tensor in outputs.items():
        if tensor.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if rows not in (-1, len(tensor)):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(tensor)} expecting: {rows}"
            )
        rows = len(tensor)
    return rows


def _together(outputs: Mapping[str, np.ndarray]) -> bytes:
    if len(outputs) == 1:
        ((name, tensor),) = outputs.items()
        return _json(name, tensor)
    members = [
        json.dumps(name).encode() + b": " + _json(name, tensor) for name, tensor in outputs.items()
    ]
    return b"{" + b", ".join(members) + b"}"


def _json(name: str, tensor: np.ndarray) -> bytes:
    if tensor.dtype == object:
        as_bytes = name.endswith(BYTES_SUFFIX)
        return json.dumps(_strings(tensor.tolist(), as_bytes), ensure_ascii=False).encode()
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        return _with_not_finite(tensor).encode()
    if tensor.dtype.kind not in "fiub":
        raise invalid(f"Failed to write JSON value for tensor type: {tensor.dtype}")
    # orjson writes 0-dimensional arrays as lists of nothing.
    plain: Any = np.ascontiguousarray(tensor) if tensor.ndim else tensor[()]
    return orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _strings(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings(item, as_bytes) for item in value]
    content = value if isinstance(value, bytes) else str(value).encode()
    if as_bytes:
        return {"b64": base64.b64encode(content).decode()}
    return content.decode(errors="replace")


def _with_not_finite(tensor: np.ndarray) -> str:
    if tensor.ndim:
        return "[" + ",".join(_with_not_finite(part) for part in tensor) + "]"
    return (
        _NOT_FINITE.get(str(tensor))
        or orjson.dumps(tensor[()], option=orjson.OPT_SERIALIZE_NUMPY).decode()
    )
