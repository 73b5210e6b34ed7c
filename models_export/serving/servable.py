"""One version of a model, loaded from a SavedModel."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from models_export.serving.statuses import Code, ServingError, invalid
from models_export.warmup import read_warmup

DEFAULT_SIGNATURE = "serving_default"
_SERVE_TAG = "serve"
# What eager TensorFlow puts before a message, and a session does not.
_PREAMBLE = re.compile(r"\AGraph execution error:.*?<stack traces unavailable>\n", re.DOTALL)


@dataclass(frozen=True)
class Input:
    """An input of a signature.

    Attributes:
        kind: its type, as TensorFlow Serving names it: "float", "uint8", "string", ...
        dtype: the same as TensorFlow's.
    """

    kind: str
    dtype: tf.DType


class Servable:
    """A loaded version of a model: its signatures, and a way to run them.

    Args:
        name: the model's name.
        version: its version.
        folder: the SavedModel.

    Raises:
        ServingError: the folder holds no SavedModel that can be loaded.
    """

    def __init__(self, name: str, version: int, folder: Path) -> None:
        self.name, self.version, self.folder = name, version, folder
        self._definitions = _signature_definitions(folder)
        try:
            # Kept: the functions do not keep the variables alive that they use.
            self._loaded = tf.saved_model.load(str(folder))
        except Exception as error:
            raise ServingError(Code.INTERNAL, f"{folder}: cannot be loaded: {error}") from error
        self._functions = dict(self._loaded.signatures)

    def inputs(self, signature: str) -> dict[str, Input]:
        """Gives the inputs of a signature by name; empty: of the default one.

        Raises:
            ServingError: there is no such signature.
        """
        name = signature or DEFAULT_SIGNATURE
        if name not in self._functions:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        definition = self._definitions[name]
        return {key: _input(info.dtype) for key, info in sorted(definition.inputs.items())}

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature on tensors by name; strings are arrays of `bytes` objects.

        Raises:
            ServingError: the tensors do not fit, or TensorFlow refuses them.
        """
        known = self.inputs(signature)
        if set(inputs) != set(known):
            raise _names_do_not_fit(set(inputs), set(known))
        function = self._functions[signature or DEFAULT_SIGNATURE]
        try:
            tensors = {
                name: tf.constant(value, known[name].dtype) for name, value in inputs.items()
            }
            outputs = function(**tensors)
        except tf.errors.OpError as error:
            raise ServingError(_code(error), _PREAMBLE.sub("", error.message)) from error
        except (TypeError, ValueError) as error:
            raise invalid(str(error)) from error
        return {name: _array(outputs[name]) for name in sorted(outputs)}

    @property
    def definitions(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """All signature definitions by name."""
        return self._definitions

    def metadata(self) -> dict[str, Any]:
        """Gives the same as protobuf's JSON."""
        whole = {}
        for name, definition in sorted(self._definitions.items()):
            whole[name] = json_format.MessageToDict(
                definition,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
        return whole


def load_warm(name: str, version: int, folder: Path) -> Servable:
    """Loads a version and replays its warm-up records on it.

    Raises:
        ServingError: it cannot be loaded, or a record cannot be replayed.
    """
    servable = Servable(name, version, folder)
    try:
        for signature, inputs in read_warmup(folder):
            servable.run(signature, inputs)
    except ValueError as error:
        raise ServingError(Code.INTERNAL, str(error)) from error
    return servable


def _signature_definitions(folder: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ServingError(
            Code.NOT_FOUND, f"Could not find SavedModel .pb at supplied path: {folder}"
        ) from error
    except Exception as error:
        raise ServingError(Code.INTERNAL, f"{path}: is damaged: {error}") from error
    for graph in saved.meta_graphs:
        if _SERVE_TAG in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise ServingError(Code.NOT_FOUND, f"{folder}: holds no graph with the tag {_SERVE_TAG!r}")


def _input(number: int) -> Input:
    name = types_pb2.DataType.Name(number).removeprefix("DT_").lower()
    return Input(name, tf.dtypes.as_dtype(number))


def _names_do_not_fit(sent: set[str], known: set[str]) -> ServingError:
    """In the words of predict_util.cc."""
    listed = [",".join(sorted(names)) for names in (sent, known, sent - known, known - sent)]
    return invalid(
        f"input size does not match signature: {len(sent)}!={len(known)} len({{{listed[0]}}})"
        f" != len({{{listed[1]}}}). Sent extra: {{{listed[2]}}}."
        f" Missing but required: {{{listed[3]}}}."
    )


def _array(tensor: tf.Tensor) -> np.ndarray:
    value = tensor.numpy()
    # One string comes as it is.
    return np.array(value, object) if isinstance(value, bytes) else value


def _code(error: tf.errors.OpError) -> Code:
    try:
        return Code(error.error_code)
    except ValueError:
        return Code.UNKNOWN
