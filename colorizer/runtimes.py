"""Networks, of Keras and exported ones in their runtimes, as functions from lightness to ab."""

import os
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import native_logs
from pipelines.errors import ColorizerError

Predict = Callable[[np.ndarray], np.ndarray]

NETWORK_FILES = {
    "saved_model": "saved_model.pb",
    "litert": "model.tflite",
    "onnx": "model.onnx",
}
"""The file by which an export of each format is known."""

_RUNTIMES = {"litert": "ai_edge_litert.interpreter", "onnx": "onnxruntime"}


def format_of(folder: Path) -> str | None:
    """The format of the export in a version folder; None where there is none."""
    found = (name for name, file in NETWORK_FILES.items() if (folder / file).is_file())
    return next(found, None)


def import_runtime(network_format: str) -> Any:
    """Imports what runs "litert" or "onnx" files.

    Raises:
        ColorizerError: it is not installed.
    """
    try:
        return import_module(_RUNTIMES[network_format])
    except ImportError as error:
        raise ColorizerError(
            f"exports as {network_format} are run by {error.name or _RUNTIMES[network_format]}: "
            f"pip install 'photo-colorizer[{network_format}]'"
        ) from error


def with_constants(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Gives what a network that learns no more answers, for use in a graph.

    Its weights are constants there: TensorFlow then folds batch normalization into the
    convolutions and keeps their kernels in the order that the CPU wants. A network that draws
    random numbers keeps its variables, since its seeds have to go on.

    All graphs of one network should be made of this. With constant and with variable kernels in
    one process, oneDNN's answers did not repeat to the bit (1e-7, TensorFlow 2.21), but for one
    inter-op thread: as if its threads kept convolutions of both kinds under the same keys.
    """
    draws = len(network.variables) > len(network.weights)

    def answer(seen: tf.Tensor) -> tf.Tensor:
        if draws:
            return network(seen, training=False)
        with tf.init_scope():
            values = [weight.numpy() for weight in network.weights]
        constants = zip(network.weights, map(tf.constant, values), strict=True)
        with keras.StatelessScope(state_mapping=constants):
            return network(seen, training=False)

    return answer


def compile_network(network: keras.Model, image_size: int) -> Predict:
    """Makes one TensorFlow graph of a network, traced at its first call: see `with_constants`.

    Args:
        network: from lightness to ab.
        image_size: S, the side of the square that it sees.

    Returns:
        From lightness, float32 (N, S, S, 1) in [-1, 1], to ab, float32 (N, S, S, 2).
    """
    graph = tf.function(
        with_constants(network),
        input_signature=[tf.TensorSpec([None, image_size, image_size, 1], tf.float32)],
        autograph=False,
    )
    # Calls of `graph` itself would be counted with those of all other networks as retracing, of
    # which TensorFlow warns.
    traced = cache(graph.get_concrete_function)
    return lambda lightness: traced()(tf.constant(lightness)).numpy()


def load_network(folder: Path, image_size: int) -> Predict:
    """Loads an export, to run on as many threads as there are cores.

    Args:
        folder: a version folder with one of `NETWORK_FILES`.
        image_size: S, the side of the square that the network must see.

    Returns:
        From lightness, float32 (N, S, S, 1) in [-1, 1], to ab, float32 (N, S, S, 2).

    Raises:
        ColorizerError: there is no export, its runtime is not installed, or it is no colorizer of
            that size. A damaged file raises what its runtime raises.
    """
    if (format_ := format_of(folder)) is None:
        raise ColorizerError(f"{folder}: holds no export ({', '.join(NETWORK_FILES.values())})")
    if format_ == "saved_model":
        return _saved_model(folder)
    loader = _LiteRT if format_ == "litert" else _onnx
    return loader(folder / NETWORK_FILES[format_], image_size)


def _saved_model(folder: Path) -> Predict:
    exported = tf.saved_model.load(str(folder))
    if "predict_ab" not in exported.signatures:
        raise ColorizerError(f"{folder}: has no signature predict_ab: not an exported colorizer")
    signature = exported.signatures["predict_ab"]

    def predict(lightness: np.ndarray) -> np.ndarray:
        # `exported` must outlive its signatures: they hold its variables by weak references.
        assert exported is not None
        ab: np.ndarray = signature(lightness=tf.constant(lightness))["ab"].numpy()
        return ab

    return predict


class _LiteRT:
    """An interpreter that is laid out anew when the number of pictures changes.

    It holds what it computes in itself, so that threads take turns.
    """

    def __init__(self, path: Path, image_size: int) -> None:
        self._turn = threading.Lock()
        runtime = import_runtime("litert")
        # It tells on stderr that it uses XNNPACK.
        with native_logs.held_back():
            self._interpreter = runtime.Interpreter(str(path), num_threads=_cores())
            (seen,), (given,) = (
                self._interpreter.get_input_details(),
                self._interpreter.get_output_details(),
            )
            _check_shape(path, seen["shape_signature"], image_size)
            self._seen, self._given = seen["index"], given["index"]
            self._lay_out((1, image_size, image_size, 1))

    def __call__(self, lightness: np.ndarray) -> np.ndarray:
        with self._turn:
            if lightness.shape != self._shape:
                self._lay_out(lightness.shape)
            self._interpreter.set_tensor(self._seen, lightness)
            self._interpreter.invoke()
            ab: np.ndarray = self._interpreter.get_tensor(self._given)
        return ab

    def _lay_out(self, shape: tuple[int, ...]) -> None:
        self._interpreter.resize_tensor_input(self._seen, shape)
        self._interpreter.allocate_tensors()
        self._shape = shape


def _onnx(path: Path, image_size: int) -> Predict:
    runtime = import_runtime("onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = _cores()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (seen,), (given,) = session.get_inputs(), session.get_outputs()
    _check_shape(path, seen.shape, image_size)

    def predict(lightness: np.ndarray) -> np.ndarray:
        (ab,) = session.run([given.name], {seen.name: lightness})
        return np.asarray(ab)

    return predict


def _check_shape(path: Path, shape: Any, image_size: int) -> None:
    if (seen := [*shape][1:]) != [image_size, image_size, 1]:
        told = " x ".join(map(str, seen))
        raise ColorizerError(
            f"{path}: sees {told}, not {image_size} x {image_size} x 1 as its statistics say"
        )


def _cores() -> int:
    """The cores that this process may use: both runtimes would take one, or all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
