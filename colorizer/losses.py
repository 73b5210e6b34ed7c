"""Supervised losses between predicted and true ab, by name.

Each takes `y_true` and `y_pred`, ab in [-1, 1] of shape (N, H, W, 2), and returns one value a
photo, shape (N,), in Lab units (MSE: squared ones).
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from pipelines.color import AB_RANGE

Tensor = Any
Loss = Callable[[Tensor, Tensor], Tensor]

# Lab units where Huber turns from squared to absolute error: about the mean error of gray.
HUBER_DELTA = 12.0
_PICTURE_AXES = (1, 2, 3)


def l1(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean absolute error of ab."""
    return ops.mean(ops.abs(_error(y_true, y_pred)), axis=_PICTURE_AXES)


def mse(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Mean squared error of ab."""
    return ops.mean(ops.square(_error(y_true, y_pred)), axis=_PICTURE_AXES)


def huber(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Huber loss of ab (Huber 1964): squared up to `HUBER_DELTA`, absolute beyond, over delta."""
    size = ops.abs(_error(y_true, y_pred))
    inside = ops.minimum(size, HUBER_DELTA)
    return ops.mean(inside * (size - 0.5 * inside) / HUBER_DELTA, axis=_PICTURE_AXES)


LOSSES: dict[str, Loss] = {"l1": l1, "mse": mse, "huber": huber}


def by_name(name: str) -> Loss:
    """Looks a loss up.

    Raises:
        ValueError: no loss has that name.
    """
    if name not in LOSSES:
        raise ValueError(f"no loss {name!r}; there are {', '.join(LOSSES)}")
    return LOSSES[name]


def _error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return AB_RANGE * (ops.cast(y_true, "float32") - ops.cast(y_pred, "float32"))
