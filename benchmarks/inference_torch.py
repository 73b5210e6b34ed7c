"""A rival's side of benchmarks/inference_speed.py: needs PyTorch and nothing of this project."""

import statistics
import time
from importlib import import_module
from typing import Any

from step_worker import serve

SIZE = 256


class RivalSide:
    """What the command can ask of this side."""

    def begin(self, *, rival: str, channels_last: bool, cores: int) -> dict[str, Any]:
        """Builds the network that `module:function` returns; gives its parameters."""
        import torch

        torch.set_num_threads(cores)
        module, _, function = rival.partition(":")
        self._network = getattr(import_module(module), function)().eval()
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._network.to(memory_format=self._layout)
        return {"parameters": sum(weight.numel() for weight in self._network.parameters())}

    def warm_up(self, *, batch_size: int) -> dict[str, Any]:
        """Makes a batch and predicts it before the clock runs."""
        import torch

        lightness = 100 * torch.rand(batch_size, 1, SIZE, SIZE)
        self._lightness = lightness.to(memory_format=self._layout)
        self.go(seconds=0)
        return {}

    def go(self, *, seconds: float) -> dict[str, Any]:
        """Predicts the batch over and over; gives the median of the milliseconds that it takes."""
        import torch

        times: list[float] = []
        with torch.inference_mode():
            while sum(times) < seconds or not times:
                started = time.perf_counter()
                self._network(self._lightness)
                times.append(time.perf_counter() - started)
        return {"ms": 1000 * statistics.median(times)}


if __name__ == "__main__":
    serve(RivalSide())
