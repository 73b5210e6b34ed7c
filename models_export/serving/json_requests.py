"""From the JSON of a predict request to tensors (TensorFlow Serving's util/json_tensor.cc)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from models_export.serving.json_text import JsonObject, parse_object, shown, type_name, utf8
from models_export.serving.statuses import Code, ServingError, invalid

Json = Any

# The least and the greatest of what is taken for an integer type; small ones are held as int32.
_INT_LIMITS: dict[str, tuple[int, int]] = {
    "int32": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = ("float", "double")


class PredictRequest(NamedTuple):
    """What a predict request asks for.

    Attributes:
        signature: name of the signature; empty: the default one.
        inputs: tensors by name; strings are arrays of `bytes` objects.
        row_format: whether it came as `instances`, and the answer goes as `predictions`.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    row_format: bool


def read_predict_request(
    body: bytes, inputs_of: Callable[[str], Mapping[str, str]]
) -> PredictRequest:
    """Reads the body of a predict request.

    Args:
        body: JSON, `{"signature_name": ..., "instances": [...]}` or `"inputs"` in its place.
        inputs_of: from the signature's name to the types of its inputs by name, as TensorFlow
            Serving names types: "float", "uint8", "string", ...

    Raises:
        ServingError: the body is not such a request, with TensorFlow Serving's message; or what
            `inputs_of` raises.
    """
    document = parse_object(body)
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly."
            " 'signature_name' key must be a string value."
        )
    types = inputs_of(signature)
    if not types:
        raise invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only"
            " one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid(
                f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array"
            )
        if not instances:
            raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
        return PredictRequest(signature, _from_rows(instances, types), True)
    if "inputs" in document:
        return PredictRequest(signature, _from_columns(document["inputs"], types), False)
    raise invalid("Missing 'inputs' or 'instances' key")


def _from_columns(value: Json, types: Mapping[str, str]) -> dict[str, np.ndarray]:
    if not isinstance(value, JsonObject) or _is_base64(value):
        if len(types) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        ((name, kind),) = types.items()
        return {name: _tensor(value, kind)}
    tensors = {}
    for name, kind in types.items():
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = _tensor(value[name], kind)
    return tensors


def _from_rows(instances: list[Json], types: Mapping[str, str]) -> dict[str, np.ndarray]:
    if not isinstance(instances[0], JsonObject) and len(types) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if _is_members(instances[0]):
        return _from_objects(instances, types)
    ((name, kind),) = tuple(types.items())[:1]
    try:
        # Whole: the same tensor in a fraction of the time. Where it fails, which row is to blame?
        return {name: _tensor(instances, kind)}
    except ServingError:
        return {name: _from_values(instances, kind)}


def _from_values(instances: list[Json], kind: str) -> np.ndarray:
    rows = _Rows()
    for number, value in enumerate(instances):
        if _is_members(value):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
        try:
            rows.add(_tensor(value, kind))
        except ServingError as error:
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. Error: {error}"
            ) from None
    return rows.stacked()


def _from_objects(instances: list[Json], types: Mapping[str, str]) -> dict[str, np.ndarray]:
    rows = {name: _Rows() for name in types}
    for number, members in enumerate(instances):
        if not _is_members(members):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        # In the order of the document: which one is told first depends on it.
        for name, value in reversed(members.items()):
            try:
                if name not in types:
                    raise invalid(f"JSON object: does not have named input: {name}")
                rows[name].add(_tensor(value, types[name]))
            except ServingError as error:
                raise invalid(
                    f"Failed to process element: {number} key: {name}"
                    f" of 'instances' list. Error: {error}"
                ) from None
        if set(members) != set(types):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object:"
                f" {shown(members)} keys must be equal to: {','.join(sorted(types))}"
            )
    return {name: row.stacked() for name, row in rows.items()}


class _Rows:
    """Tensors of one shape, to become one with a dimension more."""

    def __init__(self) -> None:
        self._tensors: list[np.ndarray] = []

    def add(self, tensor: np.ndarray) -> None:
        if self._tensors:
            first = self._tensors[0]
            if first.size != tensor.size:
                raise invalid(f"Expecting tensor size: {first.size} but got: {tensor.size}")
            if first.shape != tensor.shape:
                shapes = (f"[{','.join(map(str, one.shape))}]" for one in (first, tensor))
                raise invalid("Expecting shape {} but got: {}".format(*shapes))
        self._tensors.append(tensor)

    def stacked(self) -> np.ndarray:
        return np.stack(self._tensors)


def _tensor(value: Json, kind: str) -> np.ndarray:
    """Makes a tensor of a value or of nested lists of one shape."""
    shape = _shape(value)
    flat: list[Any] = []
    _fill(value, 0, shape, kind, flat)
    if kind == "string":
        # Not np.array(flat): NumPy would look into the bytes for a dimension.
        tensor = np.empty(len(flat), object)
        tensor[:] = flat
        return tensor.reshape(shape)
    with np.errstate(over="ignore"):
        if kind in _FLOATS:
            return np.array(flat, np.float64).astype(_NUMPY[kind]).reshape(shape)
        # A uint8 holds what of an int32 fits, as there.
        wide = np.uint64 if kind == "uint64" else np.int64
        return np.array(flat, bool if kind == "bool" else wide).astype(_NUMPY[kind]).reshape(shape)


_NUMPY = {"float": np.float32, "double": np.float64, "bool": np.bool_} | {
    kind: np.dtype(kind).type for kind in _INT_LIMITS
}


def _shape(value: Json) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _fill(value: Json, level: int, shape: tuple[int, ...], kind: str, flat: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1}"
                f" in the JSON DOM. Expected at level: {rank}"
            )
        flat.append(_scalar(value, kind))
        return
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level}"
            f" expected size: {shape[level]}"
        )
    if level == rank - 1 and kind in _FLOATS and set(map(type, value)) <= {int, float}:
        flat.extend(map(_double, value))
        return
    for item in value:
        _fill(item, level + 1, shape, kind, flat)


def _scalar(value: Json, kind: str) -> Any:
    if isinstance(value, JsonObject):
        if kind != "string":
            raise _type_error(value, kind)
        return _decoded(value)
    if kind == "string":
        if not isinstance(value, str):
            raise _type_error(value, kind)
        return utf8(value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise _type_error(value, kind)
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if kind in _NUMPY:
            raise _type_error(value, kind)
    elif kind in _FLOATS:
        return _double(value)
    elif kind in _INT_LIMITS:
        least, greatest = _INT_LIMITS[kind]
        if not isinstance(value, int) or not least <= value <= greatest:
            raise _type_error(value, kind)
        return value
    raise ServingError(
        Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {kind}"
    )


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None


def _type_error(value: Json, kind: str) -> ServingError:
    return invalid(
        f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {kind}"
    )


def _is_members(value: Json) -> bool:
    return isinstance(value, JsonObject) and not _is_base64(value)


def _is_base64(value: JsonObject) -> bool:
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _decoded(value: JsonObject) -> bytes:
    if not _is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    # As absl::Base64Unescape: blanks are passed over, padding may be left out.
    text = re.sub(r"\s", "", value["b64"])
    bare = text.rstrip("=")
    if len(text) - len(bare) > 2 or (text != bare and len(text) % 4):
        raise invalid("Unable to base64 decode")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None
