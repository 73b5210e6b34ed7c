"""A moving average of weights, validated and kept in place of the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


class WeightAverage:
    """Exponential moving average of a model's trainable weights (Polyak and Juditsky 1992).

    Keras optimizers can average too, but each call of `fit` ends by overwriting the weights with
    the average, which a run that is taken up again must not do.

    Args:
        weights: the variables to follow.
        momentum: share of the old average that is kept at each step; 0 turns averaging off.
    """

    def __init__(self, weights: list[keras.Variable], momentum: float) -> None:
        self.weights = weights
        self.momentum = momentum
        self.variables = [
            keras.Variable(keras.ops.convert_to_numpy(weight), trainable=False, name=f"average_{i}")
            for i, weight in enumerate(weights if momentum else [])
        ]

    def update(self) -> None:
        """Moves the average towards the present weights."""
        for average, weight in zip(self.variables, self.weights, strict=False):
            average.assign(average + (1.0 - self.momentum) * (weight - average))

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Puts the average in place of the weights while the body runs."""
        if not self.variables:
            yield
            return
        kept = [keras.ops.copy(weight.value) for weight in self.weights]
        for weight, average in zip(self.weights, self.variables, strict=True):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self.weights, kept, strict=True):
                weight.assign(value)
