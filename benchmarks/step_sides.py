"""What benchmarks/step_time.py measures, and the processes that it measures in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from colorizer.config import FitConfig, preset_defaults
from colorizer.network_config import AdversarialConfig
from pipelines.errors import ColorizerError

TrainingName = Literal["supervised", "adversarial", "adversarial_defaults"]
PrecisionName = Literal["float32", "mixed_bfloat16"]

OURS = "ours"
# Columns of the table: whether channels come last, whether torch.compile compiles.
TORCH_VARIANTS = {
    "PyTorch": (False, False),
    "PyTorch, channels last": (True, False),
    "PyTorch, compiled": (False, True),
    "PyTorch, compiled, channels last": (True, True),
}
# Of the epochs whose number the preset gives: they shape the learning rates.
STEPS_PER_EPOCH = 375

# What of --adversarial the PyTorch side follows, or need not: it has no guard against collapse.
_KNOWN = {
    "alpha",
    "beta",
    "beta_1",
    "check_steps",
    "discriminator_learning_rate",
    "filters",
    "loss",
    "normalization",
    "on_collapse",
    "pool",
    "spectral_normalization",
}

_FOLDER = Path(__file__).resolve().parent


def available_cores() -> int:
    """Gives the number of cores that this process and its children may use."""
    return len(os.sched_getaffinity(0))


class Case(NamedTuple):
    """One row of the table."""

    training: TrainingName
    precision: PrecisionName
    image_size: int
    batch_size: int

    def config(self) -> FitConfig:
        """The configuration of `colorizer.fit --model unet` with the preset base.

        "adversarial_defaults" takes the defaults of `--adversarial` in place of the preset's.
        """
        unread = Path("unread")
        own: dict[str, Any] = {
            "data": unread / "photos",
            "run_dir": unread / "run",
            "precision": self.precision,
            "image_size": self.image_size,
            "batch_size": self.batch_size,
        }
        if self.training == "supervised":
            return preset_defaults("base", "unet", "supervised").model_copy(update=own)
        if self.training == "adversarial_defaults":
            own["adversarial"] = AdversarialConfig()
        return preset_defaults("base", "unet", "adversarial").model_copy(update=own)

    def for_torch(self) -> dict[str, Any]:
        """The same configuration for `TorchSide.begin`.

        Raises:
            ColorizerError: the PyTorch side knows no such configuration.
        """
        config = self.config()
        _check_known(config)
        chosen = config.adversarial
        total = config.epochs * STEPS_PER_EPOCH
        shared = {
            "weight_decay": config.weight_decay,
            "warmup": min(config.warmup_steps, total // 10),
            "total": total,
        }
        first = {"learning_rate": config.learning_rate, "beta_1": 0.9, **shared}
        updates = {"generator": first}
        if config.is_adversarial:
            first["beta_1"] = chosen.beta_1
            rate = chosen.discriminator_learning_rate
            updates["discriminator"] = {**first, "learning_rate": rate}
        networks = {
            "generator": config.network_arguments(),
            "discriminator": config.discriminator_arguments() if config.is_adversarial else None,
        }
        for arguments in networks.values():
            if arguments is not None:
                del arguments["image_size"]
        return {
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "cores": available_cores(),
            "updates": updates,
            "game": chosen.loss,
            "weights": (chosen.alpha, chosen.beta),
            **networks,
        }


class Side:
    """A system in its own process, which answers a line of JSON for each that it is sent.

    Args:
        name: what errors call it.
        command: the words that start it.
    """

    def __init__(self, name: str, command: Sequence[str | Path]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Calls a method of the side and gives what it returns.

        Raises:
            ColorizerError: the method failed, or the process ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise ColorizerError(f"{self.name}: its process ended with {code}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ColorizerError(f"{self.name}: {answer['error']}")
        return answer

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def sides(case: Case, torch_python: str, variants: Sequence[str]) -> Iterator[dict[str, Side]]:
    """Starts our side and those variants of PyTorch, and ends them when the body ends.

    Raises:
        ColorizerError: they do not have the same number of trainable parameters.
    """
    with ExitStack() as stack:

        def started(name: str, python: str, file: str) -> Side:
            side = Side(name, [python, _FOLDER / file])
            stack.callback(side.end)
            return side

        found = {OURS: started(OURS, sys.executable, "keras_steps.py")}
        config = case.config().model_dump(mode="json")
        ours = found[OURS].ask("begin", config=config, steps_per_epoch=STEPS_PER_EPOCH)
        for name in variants:
            found[name] = started(name, torch_python, "torch_steps.py")
            channels_last, compiled = TORCH_VARIANTS[name]
            theirs = found[name].ask(
                "begin", channels_last=channels_last, compiled=compiled, **case.for_torch()
            )
            if theirs["parameters"] != ours["parameters"]:
                raise ColorizerError(
                    f"not the same networks: {ours['parameters']} trainable parameters in Keras,"
                    f" {theirs['parameters']} in PyTorch"
                )
        yield found


def _check_known(config: FitConfig) -> None:
    general = (config.loss, config.schedule, config.accumulation) == ("huber", "cosine", 1)
    defaults = AdversarialConfig().model_dump()
    changed = {key for key, value in config.adversarial if value != defaults[key]}
    if not general or changed - _KNOWN:
        raise ColorizerError(
            "the preset base trains the U-Net in a way that benchmarks/torch_steps.py does not"
            " know yet: write it there too"
        )
