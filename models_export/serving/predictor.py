"""What REST and gRPC share: inputs to outputs, among all other requests."""

from collections.abc import Mapping
from concurrent.futures import CancelledError

import numpy as np

from models_export.serving import images
from models_export.serving.batching import Batcher
from models_export.serving.servable import Servable
from models_export.serving.statuses import Code, ServingError


class Predictor:
    """Runs signatures through the batches.

    Args:
        batcher: runs them.
        max_pixels: photos with more are refused.
        timeout_seconds: how long a prediction may take, its wait for others included.
    """

    def __init__(self, batcher: Batcher, *, max_pixels: int, timeout_seconds: float) -> None:
        self._batcher = batcher
        self._max_pixels = max_pixels
        self._timeout = timeout_seconds

    def predict(
        self, servable: Servable, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Gives the outputs by name; photos among the inputs are settled first.

        Raises:
            ServingError: a photo cannot be used, the queue is full, the time is up, or the model
                refuses.
        """
        photos = inputs.get(images.INPUT)
        if photos is None or photos.dtype != object:
            return self._run(servable, signature, inputs)
        settled = images.settled(photos, self._max_pixels)
        try:
            return self._run(servable, signature, {**inputs, images.INPUT: settled})
        except ServingError as error:
            if error.code is Code.INVALID_ARGUMENT:
                images.check_whole(photos)
            raise

    def _run(
        self, servable: Servable, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        waiting = self._batcher.submit(servable, signature, inputs)
        try:
            return waiting.result(self._timeout)
        except (TimeoutError, CancelledError):
            waiting.cancel()
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for the model") from None
        finally:
            # It holds the error that holds this frame.
            del waiting
