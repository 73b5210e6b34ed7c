"""Milliseconds to predict the colours of a photo at the network's size: each runtime, and rivals.

    python benchmarks/inference_speed.py
    taskset -c 0 python benchmarks/inference_speed.py
    PYTHONPATH=RIVALS python benchmarks/inference_speed.py --rival rivals:eccv16 rivals:siggraph17

Uses the cores that this command may use. Decoding, painting at full size and encoding are left
out: `benchmarks/measure.py -- python -m colorizer.colorize ...` times the whole. The network is
exported in each format first; int8 is calibrated on the photos in samples/. Each system lives in a
process of its own and sleeps while the others work; they take turns, and figures are medians over
the rounds of medians within a turn.

A rival is any network in PyTorch: `module:function`, a function without arguments that returns a
`torch.nn.Module` from lightness (N, 1, S, S) in [0, 100] to anything. It is timed as it is (eager,
`eval`, `inference_mode`) and with channels last. None comes with this repository: write such
functions over your own copy of the rivals' code, in a folder that PYTHONPATH names.
"""

import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import tyro
from machine import describe_machine
from step_sides import Side, available_cores

from colorizer.command import import_tensorflow, note, run

FOLDER = Path(__file__).resolve().parent
SAMPLES = FOLDER.parent / "samples" / "photos"

System = Literal[
    "TensorFlow bfloat16",
    "SavedModel",
    "LiteRT",
    "LiteRT float16",
    "LiteRT int8",
    "ONNX Runtime",
]

DEFAULT = "TensorFlow"
BFLOAT16: System = "TensorFlow bfloat16"
EXPORTS: dict[System, dict[str, Any]] = {
    "SavedModel": {},
    "LiteRT": {"export_format": "litert"},
    "LiteRT float16": {"export_format": "litert", "quantize": "float16"},
    "LiteRT int8": {"export_format": "litert", "quantize": "int8", "calibration": SAMPLES},
    "ONNX Runtime": {"export_format": "onnx"},
}


@dataclass(frozen=True)
class Arguments:
    """What to time."""

    run: Path | None = None
    """Run folder. Left out: the weights that ship with the package."""
    systems: tuple[System, ...] = get_args(System)
    """Ours, beside TensorFlow as `colorizer.load` uses it."""
    exports: Path | None = None
    """Folder to keep the exports in; those that an earlier call left there are taken as they
    are. Left out: made anew."""
    batch_sizes: tuple[int, ...] = (1, 16)
    """Photos that go through the network at once."""
    rounds: int = 5
    """Times that each system has its turn."""
    seconds: float = 0.5
    """How long a turn lasts at least."""
    rival: tuple[str, ...] = ()
    """Rivals, each as module:function."""
    rival_python: str = sys.executable
    """Python interpreter that has PyTorch."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints a table for each batch size."""
    print(f"{describe_machine()}; {available_cores()} cores; {arguments.rounds} rounds")
    with ExitStack() as stack:
        exports = arguments.exports or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = _sides(stack, arguments, _exported(arguments, exports))
        for batch_size in arguments.batch_sizes:
            for side in sides.values():
                side.ask("warm_up", batch_size=batch_size)
            rounds: list[dict[str, float]] = []
            for number in range(arguments.rounds):
                names = list(sides) if number % 2 == 0 else list(reversed(sides))
                took = {
                    name: sides[name].ask("go", seconds=arguments.seconds)["ms"] / batch_size
                    for name in names
                }
                rounds.append(took)
            print(f"\n{table(rounds, batch_size)}", flush=True)


def table(rounds: list[dict[str, float]], batch_size: int) -> str:
    """The medians over the rounds, and the medians of the ratios to TensorFlow within each."""
    lines = [
        f"| batch of {batch_size} | ms a photo | / {DEFAULT} |",
        "| --- | ---: | ---: |",
    ]
    for name in rounds[0]:
        took = statistics.median(took[name] for took in rounds)
        ratio = statistics.median(took[name] / took[DEFAULT] for took in rounds)
        lines.append(f"| {name} | {took:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def _exported(arguments: Arguments, base: Path) -> dict[str, Path]:
    import_tensorflow()
    from models_export.export import export_run

    found: dict[str, Path] = {}
    for name in arguments.systems:
        if name == BFLOAT16:
            continue
        folder = base / name.replace(" ", "_").lower()
        if not (folder / "1").is_dir():
            export_run(arguments.run, base, folder.name, **EXPORTS[name])
        found[name] = folder
    return found


def _sides(stack: ExitStack, arguments: Arguments, exports: dict[str, Path]) -> dict[str, Side]:
    """Starts all systems, one after the other."""
    sides: dict[str, Side] = {}

    def start(name: str, python: str, file: str, **begin: Any) -> None:
        note(f"starting {name}")
        sides[name] = Side(name, [python, FOLDER / file])
        stack.callback(sides[name].end)
        sides[name].ask("begin", **begin)

    own = None if arguments.run is None else str(arguments.run)
    worker = "inference_keras.py"
    start(DEFAULT, sys.executable, worker, model=own, precision="float32")
    # A run's network keeps the precision that it was saved with.
    if BFLOAT16 in arguments.systems and own is None:
        start(BFLOAT16, sys.executable, worker, model=None, precision="mixed_bfloat16")
    for name, folder in exports.items():
        start(name, sys.executable, worker, model=str(folder), precision="float32")
    for rival in arguments.rival:
        for layout, last in (("", False), (", channels last", True)):
            start(
                rival.rpartition(":")[2] + layout,
                arguments.rival_python,
                "inference_torch.py",
                rival=rival,
                channels_last=last,
                cores=available_cores(),
            )
    return sides


if __name__ == "__main__":
    main()
