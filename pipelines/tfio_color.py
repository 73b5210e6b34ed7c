"""The one place that imports tensorflow-io, for its Lab conversion.

Only `tfio.experimental.color` is used: pure TensorFlow functions. The native plugins of
tensorflow-io 0.37 do not load under TensorFlow 2.21; the two warnings that say so are silenced.
"""

import warnings
from typing import Any

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
