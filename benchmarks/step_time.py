"""Milliseconds of a training step beside the same networks in PyTorch on the same cores.

    supervised    U-Net, Huber loss, AdamW.
    adversarial   the same U-Net against the PatchGAN discriminator: one forward pass of the
                  generator, an update of the discriminator, then one of the generator.
                  adversarial_defaults: with the defaults of the flags --adversarial.* (batch
                  normalization, non-saturating loss) in place of the preset's.

Ours is the train function of the model that `colorizer.fit` compiles with the preset base; what
fit does between steps (moving average of the weights, progress) is left out. PyTorch is eager:
fused AdamW, activations in place, autocast for bfloat16, both memory layouts; --torch-compile adds
torch.compile, which needs a C++ compiler. It leaves out the figures that our adversarial step
takes along (gradient norms, accuracies, spreads). Batches are random and lie in memory.

Every system has its own process, which uses all cores that this command may use and sleeps while
the others work; they take turns. Figures are medians over the repeats, the ratio the median of
the ratios within each repeat, to the PyTorch variant with the lowest median.

PyTorch need not be installed beside TensorFlow: --torch-python names an interpreter that has it
(pip install torch numpy; the CPU build will do). --check measures nothing: it copies weights to
PyTorch and compares what networks and steps compute.

Example: python benchmarks/step_time.py --torch-python venv_torch/bin/python --json steps.json
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import tyro
from machine import describe_machine
from pydantic import BaseModel, ConfigDict, Field
from step_sides import (
    OURS,
    TORCH_VARIANTS,
    Case,
    PrecisionName,
    TrainingName,
    available_cores,
    sides,
)

from colorizer.command import note, parse, run
from colorizer.files import write_json
from pipelines.errors import ColorizerError, UsageError

WARM_UP_STEPS = 3
# Threads of the system before may spin a little while they wait for more work.
PAUSE_SECONDS = 0.3
# Load for each core above which the machine counts as busy. PyTorch's threads wait for one
# another at every operation and suffer more than TensorFlow's where cores are shared.
BUSY_LOAD = 0.5
# --check. Large enough that batch normalization at the bottom of the U-Net sees some values.
CHECK_SIZE, CHECK_BATCH, CHECK_STEPS = 128, 4, 3
TOLERANCE = 1e-3


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    training: tuple[TrainingName, ...] = ("supervised", "adversarial")
    """Training steps to measure."""
    precision: tuple[PrecisionName, ...] = ("float32", "mixed_bfloat16")
    """Precisions to measure in."""
    image_size: int = Field(256, ge=64, multiple_of=64)
    """Side of the square pictures, a multiple of 64."""
    batch_size: int = Field(16, ge=1)
    """Photos in a step."""
    steps: int = Field(5, ge=1)
    """Steps of a system in its turn."""
    repeats: int = Field(5, ge=1)
    """Turns of each system."""
    torch_python: str = sys.executable
    """Python interpreter that has PyTorch."""
    torch_compile: bool = False
    """Measure PyTorch under torch.compile too."""
    check: bool = False
    """Compare what both compute, in float32, instead of measuring."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write all measurements to this file."""


def measure(case: Case, arguments: Arguments) -> list[dict[str, float]]:
    """Milliseconds of a step of each system, one row a repeat; the order turns round each time."""
    variants = [
        name
        for name, (_, compiled) in TORCH_VARIANTS.items()
        if arguments.torch_compile or not compiled
    ]
    rows: list[dict[str, float]] = []
    with sides(case, arguments.torch_python, variants) as found:
        for name, side in found.items():
            note(f"{case.training}, {case.precision}: warming up {name}")
            side.ask("warm_up", steps=WARM_UP_STEPS)
        for repeat in range(arguments.repeats):
            row: dict[str, float] = {}
            for name in found if repeat % 2 == 0 else reversed(found):
                time.sleep(PAUSE_SECONDS)
                row[name] = 1000 * found[name].ask("go", steps=arguments.steps)["seconds"]
            rows.append({name: row[name] for name in found})
            told = ", ".join(f"{name} {row[name]:.0f} ms" for name in found)
            note(f"{case.training}, {case.precision}, repeat {repeat + 1}: {told}")
    return rows


def compare(case: Case, torch_python: str) -> dict[str, float]:
    """How far PyTorch is from ours with the same weights and the same batch.

    Returns:
        For each network the largest difference of outputs in inference mode, as a share of their
        standard deviation; for each loss the largest relative difference over the first steps.
    """
    name = "PyTorch"
    with tempfile.TemporaryDirectory() as scratch, sides(case, torch_python, [name]) as found:
        file = str(Path(scratch) / "networks.npz")
        found[OURS].ask("export", file=file)
        outputs = found[name].ask("compare", file=file)["differences"]
        ours, theirs = (side.ask("losses", steps=CHECK_STEPS)["losses"] for side in found.values())
    differences = {f"output of the {network}": value for network, value in outputs.items()}
    for loss in ours[0]:
        differences[f"{loss} of {CHECK_STEPS} steps"] = max(
            abs(a[loss] / b[loss] - 1.0) for a, b in zip(theirs, ours, strict=True)
        )
    return differences


def table(results: dict[Case, list[dict[str, float]]]) -> str:
    """Median milliseconds of all systems, and the ratio to the faster PyTorch."""
    names = list(next(iter(results.values()))[0])
    lines = [
        f"| step, ms | precision | {' | '.join(names)} | ours / fastest PyTorch |",
        f"| --- | --- |{' ---: |' * (len(names) + 1)}",
    ]
    for case, rows in results.items():
        medians = {name: statistics.median(row[name] for row in rows) for name in names}
        cells = " | ".join(f"{value:.0f}" for value in medians.values())
        lines.append(f"| {case.training} | {case.precision} | {cells} | {ratio(rows):.2f} |")
    return "\n".join(lines)


def ratio(rows: list[dict[str, float]]) -> float:
    """Median over the repeats of ours / the PyTorch variant with the lowest median."""
    fastest = min(
        (name for name in rows[0] if name != OURS),
        key=lambda name: statistics.median(row[name] for row in rows),
    )
    return statistics.median(row[OURS] / row[fastest] for row in rows)


def torch_version(python: str) -> str:
    """Gives the version of the interpreter's PyTorch.

    Raises:
        UsageError: there is no such interpreter.
        ColorizerError: it has no PyTorch.
    """
    if shutil.which(python) is None:
        raise UsageError(f"--torch-python {python}: no such program")
    words = [python, "-c", "import torch; print(torch.__version__)"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ColorizerError(
            f"{python} has no PyTorch ({reason}): pip install torch numpy (the CPU build will do)"
            " in an environment of its own, and name its interpreter with --torch-python"
        )
    return done.stdout.strip()


def _command() -> None:
    arguments = parse(Arguments, prog="python benchmarks/step_time.py", description=__doc__ or "")
    if not arguments.training or not arguments.precision:
        raise UsageError("--training and --precision need at least one name")
    versions = {
        "torch": torch_version(arguments.torch_python),
        **{name: version(name) for name in ("tensorflow", "keras")},
    }
    if arguments.check:
        _check(arguments)
        return
    load = os.getloadavg()[0]
    if load > BUSY_LOAD * available_cores():
        note(f"other work runs here (load {load:.1f}): the figures, ratios too, will not hold")
    results = {}
    for training in arguments.training:
        for precision in arguments.precision:
            case = Case(training, precision, arguments.image_size, arguments.batch_size)
            results[case] = measure(case, arguments)
    print(
        f"{describe_machine()}, {available_cores()} cores; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + f"; {arguments.image_size}x{arguments.image_size}, batch {arguments.batch_size};"
        f" medians of {arguments.repeats} repeats of {arguments.steps} steps.\n"
    )
    print(table(results))
    if arguments.json_file is not None:
        setting = {"machine": describe_machine(), "cores": available_cores(), "load": load}
        setting |= {"versions": versions, "steps": arguments.steps}
        write_json(arguments.json_file, {**setting, "cases": _cases(results)})


def _cases(results: dict[Case, list[dict[str, float]]]) -> list[dict[str, Any]]:
    return [
        {**case._asdict(), "ratio": ratio(rows), "milliseconds": rows}
        for case, rows in results.items()
    ]


def _check(arguments: Arguments) -> None:
    """Prints how far both sides are apart.

    Raises:
        ColorizerError: further than `TOLERANCE`.
    """
    lines = ["| training | quantity | largest relative difference |", "| --- | --- | ---: |"]
    worst = 0.0
    for training in arguments.training:
        case = Case(training, "float32", CHECK_SIZE, CHECK_BATCH)
        for name, difference in compare(case, arguments.torch_python).items():
            lines.append(f"| {training} | {name} | {difference:.1e} |")
            worst = max(worst, difference)
    print("\n".join(lines))
    if not worst <= TOLERANCE:
        raise ColorizerError(f"PyTorch and Keras differ by {worst:.1e}, more than {TOLERANCE}")


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
