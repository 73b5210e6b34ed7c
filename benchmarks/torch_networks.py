"""The U-Net and the PatchGAN discriminator in PyTorch, for benchmarks/step_time.py.

Layers bear the names that they have in `colorizer.models.unet` and `colorizer.models.patchgan`.

Where a kernel of stride 2 does not fit evenly, TensorFlow pads below and to the right, PyTorch
above and to the left. To pad as TensorFlow does would cost PyTorch copies that nobody who writes
for it would make. So these networks see the picture turned by 180 degrees: with kernels turned
alike (`load_keras_weights`) they compute what ours compute, turned, at PyTorch's own cost.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

LEAKY_SLOPE = 0.2
NORM_EPSILON = 1e-3
KERNEL = 3
PATCH_KERNEL = 4

_KERAS_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# As `spectral_norm` names them.
_LEFT, _RIGHT = "0._u", "0._v"
_SPECTRAL_NAMES = {
    "kernel": "parametrizations.weight.original",
    "left_vector": f"parametrizations.weight.{_LEFT}",
}


class _Network(nn.Module):
    """Layers by name, and blocks of convolution, batch normalization and Leaky ReLU."""

    def __init__(self, norm_momentum: float) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._norm_momentum = 1.0 - norm_momentum

    def _add(
        self,
        name: str,
        channels: int,
        filters: int,
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 1,
        bias: bool = False,
        norm: bool = True,
        spectral: bool = False,
    ) -> None:
        layer = nn.Conv2d(channels, filters, kernel, stride, padding, bias=bias)
        self.layers[name] = spectral_norm(layer) if spectral else layer
        if norm:
            self.layers[f"{name}_norm"] = nn.BatchNorm2d(filters, NORM_EPSILON, self._norm_momentum)

    def _block(self, name: str, x: Tensor, activated: bool = True) -> Tensor:
        x = self.layers[name](x)
        if f"{name}_norm" in self.layers:
            x = self.layers[f"{name}_norm"](x)
        return _leaky(x) if activated else x


class UNet(_Network):
    """From lightness (N, 1, S, S) to ab (N, 2, S, S), float32; arguments as `build_unet`'s."""

    def __init__(
        self,
        *,
        pool: int,
        filters: Sequence[int],
        blocks: Sequence[int],
        decoder_filters: Sequence[int],
        norm_momentum: float,
        attention: bool = False,
    ) -> None:
        if attention:
            raise ValueError("self-attention is not written in PyTorch here")
        super().__init__(norm_momentum)
        self.pool, self.blocks, self.levels = pool, tuple(blocks), len(decoder_filters)
        self.enlarged = pool * 2 ** (len(filters) - len(decoder_filters))
        widths = [1, *filters]
        for level, count in enumerate(blocks, start=1):
            width = widths[level]
            self._add(f"down_{level}", widths[level - 1], width, kernel=KERNEL, stride=2)
            for number in range(1, count + 1):
                for half in (1, 2):
                    self._add(f"down_{level}_block_{number}_{half}", width, width, kernel=KERNEL)
        channels = widths.pop()
        for level, width in enumerate(decoder_filters, start=1):
            self._add(f"up_{level}", channels + widths.pop(), width, kernel=KERNEL)
            channels = width
        self._add("ab_small", channels, 2, kernel=KERNEL, bias=True, norm=False)

    def forward(self, lightness: Tensor) -> Tensor:
        """Gives the ab."""
        x = _pooled(lightness, self.pool)
        skips = []
        for level, count in enumerate(self.blocks, start=1):
            skips.append(x)
            x = self._block(f"down_{level}", x)
            for number in range(1, count + 1):
                x = self._residual(f"down_{level}_block_{number}", x)
        for level in range(1, self.levels + 1):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self._block(f"up_{level}", torch.cat([x, skips.pop()], dim=1))
        ab = torch.tanh(self.layers["ab_small"](x).float())
        if self.enlarged == 1:
            return ab
        return F.interpolate(ab, scale_factor=self.enlarged, mode="bilinear", align_corners=False)

    def _residual(self, name: str, x: Tensor) -> Tensor:
        inner = self._block(f"{name}_2", self._block(f"{name}_1", x), activated=False)
        return _leaky(x + inner)


class PatchGan(_Network):
    """From lightness and ab to logits (N, 1, S/2^B, S/2^B), float32.

    Arguments as those of `build_patchgan_discriminator`.
    """

    def __init__(
        self,
        *,
        norm_momentum: float,
        pool: int = 1,
        filters: Sequence[int] = (32, 64, 128, 256),
        normalization: str = "batch",
        spectral_normalization: bool = False,
        attention: bool = False,
    ) -> None:
        if normalization not in ("batch", "none") or attention:
            raise ValueError(f"normalization {normalization} and attention are not written here")
        super().__init__(norm_momentum)
        self.pool, self.blocks = pool, len(filters)
        channels = 3
        for number, width in enumerate(filters, start=1):
            self._add(
                f"block_{number}",
                channels,
                width,
                kernel=PATCH_KERNEL,
                stride=2,
                bias=True,
                norm=number > 1 and normalization == "batch",
                spectral=spectral_normalization,
            )
            channels = width
        self._add(
            "logits",
            channels,
            1,
            kernel=PATCH_KERNEL,
            padding=0,
            bias=True,
            norm=False,
            spectral=spectral_normalization,
        )

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Gives the logits."""
        x = _pooled(torch.cat([lightness, ab], dim=1), self.pool)
        for number in range(1, self.blocks + 1):
            x = self._block(f"block_{number}", x)
        # Ours are float32 whatever the precision policy.
        with torch.autocast("cpu", enabled=False):
            return self.layers["logits"](F.pad(x.float(), (2, 1, 2, 1)))


def load_keras_weights(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copies Keras weights, by the name "layer/variable", kernels turned by 180 degrees.

    Raises:
        RuntimeError: names or shapes are not those of `network`.
    """
    state = {}
    for name, value in weights.items():
        layer, variable = name.split("/")
        names = (
            _KERAS_NAMES | _SPECTRAL_NAMES if f"{layer}/left_vector" in weights else _KERAS_NAMES
        )
        if variable == "kernel":
            value = value[::-1, ::-1].transpose(3, 2, 0, 1)
        state[f"layers.{layer}.{names[variable]}"] = torch.from_numpy(value.copy())
    for key in [key for key in state if key.endswith(_LEFT)]:
        state[key] = F.normalize(state[key], dim=0)
        kernel = state[key.replace(_LEFT, "original")].flatten(1)
        # PyTorch keeps the right singular vector too, Keras makes it anew.
        state[key.replace(_LEFT, _RIGHT)] = F.normalize(kernel.T @ state[key], dim=0)
    # PyTorch counts batches in its normalization, Keras does not.
    counts = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    network.load_state_dict(state | counts)


def _pooled(x: Tensor, pool: int) -> Tensor:
    return F.avg_pool2d(x, pool) if pool > 1 else x


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAKY_SLOPE, inplace=True)
