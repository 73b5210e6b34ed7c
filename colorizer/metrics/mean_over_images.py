"""The base of all metric classes: the mean of one value per image."""

from typing import Any

import keras
from keras import ops

Tensor = Any


class MeanOverImages(keras.metrics.Metric):
    """Mean over all images of what `per_image` gives, however they are cut into batches.

    Sum and count are kept in float64, so that the result is that of the whole set at once.
    """

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def per_image(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Gives one value per image, shape (N,), for encoded pictures (N, H, W, 3)."""
        raise NotImplementedError

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Adds a batch of encoded pictures, float32 or float64 (N, H, W, 3).

        `sample_weight`, if given, holds one weight per image, shape (N,).
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        values = ops.cast(self.per_image(y_true, y_pred), "float64")
        weights = ops.ones_like(values) if sample_weight is None else sample_weight
        weights = ops.reshape(ops.cast(weights, "float64"), (-1,))
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

    def result(self) -> Tensor:
        """Gives the mean so far, a scalar; 0 before the first image."""
        return ops.cast(ops.divide_no_nan(self.total, self.count), self.dtype)

    def reset_state(self) -> None:
        """Forgets all images."""
        self.total.assign(0.0)
        self.count.assign(0.0)
