"""Our side of benchmarks/inference_speed.py: a run or an export, as `colorizer.load` runs it."""

import statistics
import time
from typing import Any

from step_worker import serve

from colorizer.command import import_tensorflow


class OurSide:
    """What the command can ask of this side."""

    def begin(self, *, model: str | None, precision: str) -> dict[str, Any]:
        """Loads the model; None: the weights that ship with the package."""
        import_tensorflow()
        from colorizer import load
        from colorizer.training.precision import dtype_policy

        with dtype_policy(precision):
            self._colorizer = load(model)
        return {}

    def warm_up(self, *, batch_size: int) -> dict[str, Any]:
        """Makes a batch and predicts it twice before the clock runs."""
        import numpy as np

        side = self._colorizer.image_size
        random = np.random.default_rng(0)
        self._lightness = random.uniform(-1, 1, (batch_size, side, side, 1)).astype(np.float32)
        for _ in range(2):
            self._colorizer.predict_ab(self._lightness)
        return {}

    def go(self, *, seconds: float) -> dict[str, Any]:
        """Predicts the batch over and over; gives the median of the milliseconds that it takes."""
        times: list[float] = []
        while sum(times) < seconds or not times:
            started = time.perf_counter()
            self._colorizer.predict_ab(self._lightness)
            times.append(time.perf_counter() - started)
        return {"ms": 1000 * statistics.median(times)}


if __name__ == "__main__":
    serve(OurSide())
