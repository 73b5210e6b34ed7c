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
    """`rgb_to_lab` for graphs that XLA compiles: the same to 3e-4 Lab, three times as fast.

    It is tensorflow-io's own graph. Only its two powers are put differently, x^y as exp(y log x):
    XLA vectorises exp and log on a CPU, and calls the C library for every single power.

    Args:
        rgb: float32 of a known shape (N, H, W, 3), in [0, 1].
    """
    with tf.Graph().as_default() as graph:
        pixels = tf.compat.v1.placeholder(rgb.dtype, rgb.shape)
        lab = rgb_to_lab(pixels)
    described = graph.as_graph_def()
    described.node.remove(next(node for node in described.node if node.name == pixels.op.name))
    for node in [node for node in described.node if node.op == "Pow"]:
        _write_as_exp_of_log(node, described)
    return tf.import_graph_def(described, {pixels.name: rgb}, [lab.name], name="tfio")[0]


def _write_as_exp_of_log(power: Any, graph: Any) -> None:
    base, exponent = power.input
    logarithm, product = f"{power.name}/log", f"{power.name}/product"
    for name, op, inputs in (
        (logarithm, "Log", [base]),
        (product, "Mul", [logarithm, exponent]),
    ):
        graph.node.add(name=name, op=op, input=inputs).attr["T"].CopyFrom(power.attr["T"])
    power.op = "Exp"
    power.input[:] = [product]
