"""The one place that imports tensorflow-io, for its Lab conversion.

Only `tfio.experimental.color` is used: pure TensorFlow functions. The native plugins of
tensorflow-io 0.37 do not load under TensorFlow 2.21; the two warnings that say so are silenced.
"""

import warnings
from typing import Any

import tensorflow as tf

from pipelines import native_logs

with native_logs.held_back(), warnings.catch_warnings():
    warnings.filterwarnings("ignore", "unable to load libtensorflow_io_plugins", UserWarning)
    warnings.filterwarnings("ignore", "file system plugins are not loaded", UserWarning)
    import tensorflow_io as tfio


def rgb_to_lab(rgb: Any) -> Any:
    """Converts sRGB (..., 3), float32 in [0, 1], to CIE Lab (D65, 2 degrees) by tensorflow-io."""
    return tfio.experimental.color.rgb_to_lab(rgb)


def lab_to_rgb(lab: Any) -> Any:
    """Converts CIE Lab (..., 3), float32, to sRGB clipped to [0, 1] by tensorflow-io."""
    return tfio.experimental.color.lab_to_rgb(lab)


def rgb_to_responses(rgb: Any) -> Any:
    """The first half of `rgb_to_lab` for XLA: the CIE's f(X/Xn), f(Y/Yn), f(Z/Zn).

    With `responses_to_lab` it is tensorflow-io's own graph: the same to 3e-4 Lab, six times as
    fast. Only its two powers are computed differently, from inverse roots by iteration: XLA
    vectorises those on a CPU, and calls the C library for every power. The halves should be two
    programs: in one, XLA computes each response anew for every channel that it goes into.

    Args:
        rgb: float32 of a known shape (N, H, W, 3), in [0, 1].

    Raises:
        KeyError: tensorflow-io takes a power that is not known here.
    """
    graph, pixels, responses, _ = _tfio_graph(rgb.shape)
    return _imported(graph, pixels, rgb, responses)


def responses_to_lab(responses: Any) -> Any:
    """The other half, see `rgb_to_responses`."""
    graph, _, halfway, lab = _tfio_graph(responses.shape)
    return _imported(graph, halfway, responses, lab)


def _tfio_graph(shape: Any) -> tuple[tf.Graph, Any, Any, Any]:
    """The graph of `rgb_to_lab`, its input, the responses in it, its output."""
    with tf.Graph().as_default() as graph:
        pixels = tf.compat.v1.placeholder(tf.float32, shape)
        lab = rgb_to_lab(pixels)
    (apart,) = (operation for operation in graph.get_operations() if operation.type == "Unpack")
    return graph, pixels, apart.inputs[0], lab


def _imported(graph: tf.Graph, start: Any, value: Any, end: Any) -> Any:
    """What `end` is in `graph` where `start` is `value`."""
    described = graph.as_graph_def()
    wanted = _between(start.op, end.op)
    for node in list(described.node):
        if node.name not in wanted:
            described.node.remove(node)
        elif node.op == "Pow":
            exponent = tf.get_static_value(graph.get_tensor_by_name(f"{node.input[1]}:0"))
            power = _POWERS[round(float(exponent), 6)].get_concrete_function()
            described.library.function.add().CopyFrom(power.function_def)
            node.op = power.function_def.signature.name
            node.input[:] = node.input[:1]
            node.ClearField("attr")
    return tf.import_graph_def(described, {start.name: value}, [end.name], name="tfio")[0]


def _between(start: Any, end: Any) -> set[str]:
    """The names of the operations that `end` needs where it is given what `start` is."""
    found: set[str] = set()
    waiting = [end]
    while waiting:
        operation = waiting.pop()
        if operation is not start and operation.name not in found:
            found.add(operation.name)
            waiting.extend(tensor.op for tensor in operation.inputs)
    return found


_elementwise = tf.function(autograph=False, input_signature=[tf.TensorSpec(None, tf.float32)])


@_elementwise
def _cube_root(x: Any) -> Any:
    root = _inverse_root(x, 3)
    return x * root * root


@_elementwise
def _power_of_2_4(x: Any) -> Any:
    root = x * _inverse_root(x, 5)
    return root * root * root


_POWERS = {round(1 / 3, 6): _cube_root, 2.4: _power_of_2_4}


def _inverse_root(x: Any, degree: int) -> Any:
    """x^(-1/degree) of positive float32: a guess from the exponent's bits, then Householder twice.

    His iteration of third order has no division here. The error is below 1e-7 of the root for x
    from 0.009 to 1, which holds all that tensorflow-io goes on with.
    """
    one = float(0x3F800000)
    bits = tf.cast(tf.bitcast(x, tf.int32), tf.float32)
    # 0.04 of an octave centres the guess between the powers of two.
    guess = one * (1.0 + 1.0 / degree) - 0.04 * 2**23 - bits * (1.0 / degree)
    y = tf.bitcast(tf.cast(guess, tf.int32), tf.float32)
    for _ in range(2):
        power = y
        for _ in range(degree - 1):
            power = power * y
        off = 1.0 - x * power
        y += y * off * (1.0 / degree + off * ((degree + 1.0) / (2.0 * degree**2)))
    return y
