"""Supervised losses between predicted and true ab, by name.

Each takes `y_true` and `y_pred`, ab in [-1, 1] of shape (N, H, W, 2), and returns one value a
photo, shape (N,), in Lab units (MSE: squared ones).
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from colorizer.ab_classes import soft_classes
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


def class_cross_entropy(y_true: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy between the colours' soft classes and predicted ones (Zhang et al. 2016).

    Args:
        y_true: ab in [-1, 1], (N, H, W, 2); its means over squares are what is learned.
        logits: of `colorizer.ab_classes`, (N, h, w, CLASSES), where h and w divide H and W.

    Returns:
        Mean over the places, in nats, shape (N,).
    """
    block = y_true.shape[1] // logits.shape[1]
    small = ops.average_pool(ops.cast(y_true, "float32"), block, block)
    classes, weights = soft_classes(small)
    logits = ops.cast(logits, "float32")
    wanted = ops.sum(weights * ops.take_along_axis(logits, classes, axis=-1), axis=-1)
    certain = ops.sum(weights, axis=-1)
    return ops.mean(certain * ops.logsumexp(logits, axis=-1) - wanted, axis=(1, 2))


def taught_cross_entropy(teachers: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy between the classes as teachers see them and predicted ones (Hinton 2015).

    Args:
        teachers: the teachers' logits, (N, h, w, CLASSES); no gradient flows into them.
        logits: the learner's, of the same shape.

    Returns:
        Mean over the places, in nats, shape (N,).
    """
    wanted = ops.softmax(ops.stop_gradient(ops.cast(teachers, "float32")), axis=-1)
    said = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    return -ops.mean(ops.sum(wanted * said, axis=-1), axis=(1, 2))


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
