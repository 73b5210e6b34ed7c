"""Colours as classes: ab quantised in steps of 10, and back (Zhang et al. 2016).

A network that gives each class a probability can say "red or blue, but not violet in between",
which one that predicts ab cannot: the mean of red and blue is what minimises its error. The
classes are the points of a grid in the (a, b) plane that are the nearest ones of some sRGB colour.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipelines.color import AB_RANGE

Tensor = Any

STEP = 10
# For each a its lowest and highest b, in steps. The gamut has no gaps between them.
_ROWS = {
    -9: (8, 8),
    -8: (4, 8),
    -7: (2, 9),
    -6: (0, 9),
    -5: (-2, 9),
    -4: (-3, 9),
    -3: (-4, 9),
    -2: (-4, 9),
    -1: (-5, 9),
    0: (-6, 9),
    1: (-7, 8),
    2: (-7, 8),
    3: (-8, 8),
    4: (-9, 8),
    5: (-9, 7),
    6: (-10, 7),
    7: (-11, 7),
    8: (-11, 7),
    9: (-9, 0),
    10: (-7, -5),
}
_CELLS = [(a, b) for a, (low, high) in _ROWS.items() for b in range(low, high + 1)]

CENTERS = np.array(_CELLS, np.float32) * np.float32(STEP / AB_RANGE)
"""(a, b) of each class, scaled to [-1, 1], shape (CLASSES, 2)."""
CLASSES = len(CENTERS)

# Number of the class at each point of the grid, offset so that no index is negative; -1: none.
_OFFSET = 14
_NUMBERS = np.full((2 * _OFFSET + 1, 2 * _OFFSET + 1), -1, np.int32)
for _number, (_a, _b) in enumerate(_CELLS):
    _NUMBERS[_a + _OFFSET, _b + _OFFSET] = _number
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def soft_classes(ab: Tensor) -> tuple[Tensor, Tensor]:
    """Spreads colours over the classes around them, so that the classes' mean is the colour.

    Zhang et al. spread over the five nearest classes by a Gaussian; here it is the four corners
    of the grid's square, by bilinear weights, whose mean is the colour itself. Corners outside the
    gamut have no class and weigh nothing; the others then weigh more, and the mean is a little off.

    Args:
        ab: (..., 2) in [-1, 1].

    Returns:
        Numbers of the classes, int32 (..., 4), and their weights, float32 (..., 4), of sum 1.
    """
    limit = float(_OFFSET - 1)
    place = ops.clip(ops.cast(ab, "float32") * (AB_RANGE / STEP), -limit, limit)
    low = ops.floor(place)
    share = place - low
    corner = ops.cast(low, "int32") + _OFFSET
    table = ops.convert_to_tensor(_NUMBERS.reshape(-1))
    numbers, weights = [], []
    for right, up in _CORNERS:
        index = (corner[..., 0] + right) * _NUMBERS.shape[1] + corner[..., 1] + up
        number = ops.take(table, index)
        weight = _along(share[..., 0], right) * _along(share[..., 1], up)
        numbers.append(ops.maximum(number, 0))
        weights.append(ops.where(number >= 0, weight, 0.0))
    stacked = ops.stack(weights, axis=-1)
    total = ops.sum(stacked, axis=-1, keepdims=True)
    # Far outside the gamut no corner has a class: such colours weigh nothing in a loss.
    weighed = stacked / ops.maximum(total, 1e-6)
    return ops.stack(numbers, axis=-1), weighed


def class_shares(ab: np.ndarray) -> np.ndarray:
    """Gives the share of each class among colours, float64 (CLASSES,), of sum 1.

    Args:
        ab: (..., 2) in [-1, 1].
    """
    numbers, weights = (np.asarray(part).reshape(-1) for part in soft_classes(ab))
    counts = np.bincount(numbers, weights.astype(np.float64), minlength=CLASSES)
    return counts / counts.sum()


def rebalancing(shares: Sequence[float], strength: float) -> list[float]:
    """Gives what to add to the logits so that rare colours count for more.

    Zhang et al. weigh rare classes in the loss while they train. To take the classes' own shares
    out of the prediction afterwards, log p - strength log share, does the same (logit adjustment,
    Menon et al. 2021) and leaves the faithful answer to the same network. As in Zhang et al. the
    shares are mixed half and half with equal ones.

    Args:
        shares: of the classes in the training photos, (CLASSES,), of sum 1.
        strength: 0 leaves the prediction as it is, 1 takes the shares out altogether.

    Raises:
        ValueError: there are not CLASSES shares.
    """
    given = np.asarray(shares, np.float64)
    if given.shape != (CLASSES,):
        raise ValueError(f"expected {CLASSES} shares, got shape {given.shape}")
    offsets: list[float] = (-strength * np.log(0.5 * given + 0.5 / CLASSES)).tolist()
    return offsets


def _along(share: Tensor, end: int) -> Tensor:
    return share if end else 1.0 - share


@keras.saving.register_keras_serializable(package="colorizer")
class AnnealedMean(layers.Layer):
    """From logits of the classes to ab: the mean of the softmax at a temperature (Zhang 2016).

    At temperature 1 it is the mean of the predicted distribution; towards 0 it goes to the
    likeliest class, vivid and spotty. Zhang et al. take 0.38. In float32.

    Input: (..., CLASSES). Output: (..., 2) in [-1, 1].

    Args:
        temperature: above 0.
        offsets: added to the logits before, (CLASSES,); see `rebalancing`.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: `temperature` is not above 0.
    """

    def __init__(
        self, temperature: float = 1.0, offsets: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature
        self.offsets = None if offsets is None else list(offsets)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Gives ab."""
        if self.offsets is not None:
            inputs = inputs + np.asarray(self.offsets, np.float32)
        return ops.matmul(ops.softmax(inputs / self.temperature, axis=-1), CENTERS)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the input's shape with 2 channels."""
        return (*input_shape[:-1], 2)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments that rebuild the layer."""
        own = {"temperature": self.temperature, "offsets": self.offsets}
        return {**super().get_config(), **own}
