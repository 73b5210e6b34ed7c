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


def rgb_to_lab_in_xla(rgb: Any) -> Any:
    """`rgb_to_lab` for graphs that XLA compiles: the same to 3e-4 Lab, five times as fast.

    It is tensorflow-io's own graph. Only its two powers are computed differently, from roots by
    Halley's iteration: XLA vectorises those on a CPU, and calls the C library for every power.

    Args:
        rgb: float32 of a known shape (N, H, W, 3), in [0, 1].

    Raises:
        KeyError: tensorflow-io takes a power that is not known here.
    """
    with tf.Graph().as_default() as graph:
        pixels = tf.compat.v1.placeholder(rgb.dtype, rgb.shape)
        lab = rgb_to_lab(pixels)
    described = graph.as_graph_def()
    described.node.remove(next(node for node in described.node if node.name == pixels.op.name))
    for node in described.node:
        if node.op == "Pow":
            exponent = tf.get_static_value(graph.get_tensor_by_name(f"{node.input[1]}:0"))
            power = _POWERS[round(float(exponent), 6)].get_concrete_function()
            described.library.function.add().CopyFrom(power.function_def)
            node.op = power.function_def.signature.name
            node.input[:] = node.input[:1]
            node.ClearField("attr")
    return tf.import_graph_def(described, {pixels.name: rgb}, [lab.name], name="tfio")[0]


_elementwise = tf.function(autograph=False, input_signature=[tf.TensorSpec(None, tf.float32)])


@_elementwise
def _cube_root(x: Any) -> Any:
    return _root(x, 3)


@_elementwise
def _power_of_2_4(x: Any) -> Any:
    fifth = _root(x, 5)
    return x * x * fifth * fifth


_POWERS = {round(1 / 3, 6): _cube_root, 2.4: _power_of_2_4}


def _root(x: Any, degree: int) -> Any:
    """The root of positive float32: a guess from the exponent's bits, then Halley twice.

    The error is below 3e-7 for x from 0.009 to 1, which holds all that tensorflow-io goes on with.
    """
    one = float(0x3F800000)
    bits = tf.cast(tf.bitcast(x, tf.int32), tf.float32)
    # 0.04 of an octave centres the guess between the powers of two.
    guess = bits / degree + (one * (1.0 - 1.0 / degree) - 0.04 * 2**23)
    y = tf.bitcast(tf.cast(guess, tf.int32), tf.float32)
    for _ in range(2):
        power = y
        for _ in range(degree - 1):
            power = power * y
        more, less = degree + 1.0, degree - 1.0
        y = y * (less * power + more * x) / (more * power + less * x)
    return y
