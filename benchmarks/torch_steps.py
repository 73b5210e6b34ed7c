"""The PyTorch side of benchmarks/step_time.py; needs PyTorch, and NumPy to compare networks."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from step_worker import serve
from torch import Tensor, nn
from torch_networks import PatchGan, UNet, load_keras_weights

# As colorizer.losses and pipelines.color, which this interpreter need not have.
AB_RANGE = 128.0
HUBER_DELTA = 12.0
# As Keras's AdamW.
EPSILON = 1e-7

Losses = dict[str, Tensor]

# Losses of the discriminator, from real and generated photos' logits, and of the generator.
GAMES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "non_saturating": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: F.softplus(-fake).mean(),
    ),
    "hinge": (
        lambda real, fake: F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
}


class Updates:
    """AdamW with a linear warm-up and a cosine, and no decay of biases and normalization."""

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        beta_1: float,
        weight_decay: float,
        warmup: int,
        total: int,
    ) -> None:
        kernels = [weight for weight in network.parameters() if weight.ndim > 1]
        others = [weight for weight in network.parameters() if weight.ndim == 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": kernels}, {"params": others, "weight_decay": 0.0}],
            betas=(beta_1, 0.999),
            eps=EPSILON,
            weight_decay=weight_decay,
            fused=True,
        )
        self._peak, self._warmup, self._total = learning_rate, warmup, total
        self._done = 0

    def minimise(self, loss: Tensor) -> None:
        """Moves the network once."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._done += 1

    def _rate(self) -> float:
        if self._done < self._warmup:
            return self._peak * (0.1 + 0.9 * self._done / self._warmup)
        share = min(1.0, (self._done - self._warmup) / (self._total - self._warmup))
        return self._peak * 0.5 * (1.0 + math.cos(math.pi * share))


class Training:
    """A training step, supervised or, with a discriminator, adversarial.

    Args:
        generator: from lightness to ab.
        discriminator: from lightness and ab to logits, or None.
        updates: of the two networks, by "generator" and "discriminator".
        game: "hinge" or "non_saturating", the adversarial losses.
        weights: alpha and beta, of the Huber loss and the adversarial term.
        precision: "float32", or "mixed_bfloat16" for autocast.
    """

    def __init__(
        self,
        generator: Callable[..., Tensor],
        discriminator: nn.Module | None,
        updates: dict[str, Updates],
        game: str,
        weights: tuple[float, float],
        precision: str,
    ) -> None:
        if game not in GAMES:
            raise ValueError(f"the adversarial loss {game} is not written in PyTorch here")
        self.generator, self.discriminator, self.updates = generator, discriminator, updates
        self.judge, self.deceive = GAMES[game]
        self.alpha, self.beta = weights
        self.precision = precision

    def step(self, lightness: Tensor, ab: Tensor) -> Losses:
        """Makes one step and gives its losses."""
        with self._cast():
            fake_ab = self.generator(lightness)
        if self.discriminator is None:
            loss = huber(ab, fake_ab)
            self.updates["generator"].minimise(loss)
            return {"loss": loss.detach()}
        judged = self._train_discriminator(self.discriminator, lightness, ab, fake_ab.detach())
        self.discriminator.requires_grad_(False)
        with self._cast():
            logits = self.discriminator(lightness, fake_ab)
        loss = self.alpha * huber(ab, fake_ab) + self.beta * self.deceive(logits)
        self.updates["generator"].minimise(loss)
        self.discriminator.requires_grad_(True)
        return {"loss": loss.detach(), "discriminator_loss": judged.detach()}

    def _train_discriminator(
        self, discriminator: nn.Module, lightness: Tensor, ab: Tensor, fake_ab: Tensor
    ) -> Tensor:
        with self._cast():
            real = discriminator(lightness, ab)
            fake = discriminator(lightness, fake_ab)
        loss = self.judge(real, fake)
        self.updates["discriminator"].minimise(loss)
        return loss

    def _cast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "mixed_bfloat16")


def huber(ab: Tensor, fake_ab: Tensor) -> Tensor:
    """Gives the mean of `colorizer.losses.huber`."""
    return F.huber_loss(AB_RANGE * fake_ab, AB_RANGE * ab, delta=HUBER_DELTA) / HUBER_DELTA


class TorchSide:
    """What the command can ask of this side; see `KerasSide` in keras_steps.py."""

    def begin(
        self,
        *,
        cores: int,
        image_size: int,
        batch_size: int,
        precision: str,
        channels_last: bool,
        compiled: bool,
        generator: dict[str, Any],
        discriminator: dict[str, Any] | None,
        updates: dict[str, dict[str, Any]],
        game: str,
        weights: tuple[float, float],
    ) -> dict[str, Any]:
        """Builds networks, optimizers and a batch."""
        torch.set_num_threads(cores)
        # As TensorFlow does in its threads.
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._networks: dict[str, nn.Module] = {"generator": UNet(**generator)}
        if discriminator is not None:
            self._networks["discriminator"] = PatchGan(**discriminator)
        for network in self._networks.values():
            network.to(memory_format=self._format)
        side = (image_size, image_size)
        self._batch = self._laid_out(
            2.0 * torch.rand(batch_size, 1, *side) - 1.0,
            2.0 * torch.rand(batch_size, 2, *side) - 1.0,
        )
        optimizers = {
            name: Updates(network, **updates[name]) for name, network in self._networks.items()
        }
        called: dict[str, Any] = self._networks
        if compiled:
            called = {name: torch.compile(network) for name, network in called.items()}
        self._training = Training(
            called["generator"],
            called.get("discriminator"),
            optimizers,
            game,
            weights,
            precision,
        )
        return {"parameters": {name: _count(network) for name, network in self._networks.items()}}

    def warm_up(self, *, steps: int) -> dict[str, Any]:
        """Makes steps before the clock runs."""
        return self.go(steps=steps)

    def go(self, *, steps: int) -> dict[str, Any]:
        """Gives the seconds of a step."""
        started = time.perf_counter()
        for _ in range(steps):
            losses = self._training.step(*self._batch)
        last = float(losses["loss"])
        seconds = (time.perf_counter() - started) / steps
        return {"seconds": seconds, "loss": last}

    def losses(self, *, steps: int) -> dict[str, Any]:
        """Gives the losses of so many steps."""
        rows = [self._training.step(*self._batch) for _ in range(steps)]
        return {"losses": [{name: float(loss) for name, loss in row.items()} for row in rows]}

    @torch.no_grad()
    def compare(self, *, file: str) -> dict[str, Any]:
        """Takes weights and photos of `KerasSide.export`, and gives how far outputs differ."""
        import numpy as np

        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        pictures = {name: _turned(arrays[name]) for name in ("lightness", "ab")}
        self._batch = self._laid_out(pictures["lightness"], pictures["ab"])
        differences = {}
        for name, network in self._networks.items():
            mine = {
                key.split("/", 1)[1]: v for key, v in arrays.items() if key.startswith(f"{name}/")
            }
            load_keras_weights(network, mine)
            network.eval()
            inputs = self._batch[:1] if name == "generator" else self._batch
            expected = _turned(arrays[f"output_of_{name}"])
            differences[name] = float((network(*inputs) - expected).abs().max() / expected.std())
            network.train()
        return {"differences": differences}

    def _laid_out(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        return tuple(picture.contiguous(memory_format=self._format) for picture in pictures)


def _turned(pictures: Any) -> Tensor:
    """(N, H, W, C) to (N, C, H, W), turned by 180 degrees: see torch_networks.py."""
    return torch.from_numpy(pictures[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy())


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


if __name__ == "__main__":
    serve(TorchSide())
