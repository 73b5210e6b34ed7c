"""Steps a second of `colorizer.fit`: one process, and several workers on this machine.

Both train the same network on the same batches, one after the other, each with all cores that this
command may use; the figures are those of the last epoch, without validation, so that neither
start-up nor tracing counts. On one machine workers share its cores: what is seen is what the
exchange between them costs, not what a second machine gives.

Example: python benchmarks/workers_speed.py --photos photos/val
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from machine import describe_machine
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import note, parse, run

LAUNCHER = Path(__file__).resolve().parent.parent / "scripts" / "train_workers.py"


class Settings(BaseModel):
    """The command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photos: Path
    """Folder of photos; a tenth of them is held out."""
    model: str = "cnn"
    """cnn, unet, dcgan or lite, with the preset base, in float32."""
    training: str = "supervised"
    """supervised or adversarial."""
    workers: int = Field(2, ge=2)
    """Processes that train together."""
    image_size: int = Field(128, ge=32)
    """Side of the pictures."""
    batch_size: int = Field(16, ge=1)
    """Photos in a step, over all workers together."""
    steps: int = Field(20, ge=1)
    """Steps of each of the two epochs."""
    repeats: int = Field(3, ge=1)
    """Times that both are measured, in turn."""


def measured(settings: Settings, begin: list[str], folder: Path) -> float:
    """Trains once and gives steps a second."""
    chosen = settings.model_dump(include={"model", "training", "image_size", "batch_size"})
    chosen |= {"data": settings.photos, "run_dir": folder / "run", "precision": "float32"}
    chosen |= {"epochs": 2, "epoch_steps": settings.steps}
    flags = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    subprocess.run([*begin, *flags], check=True, stdout=subprocess.DEVNULL)
    rows = json.loads((folder / "run" / "history.json").read_text(encoding="utf-8"))
    return settings.steps / float(rows[-1]["seconds"])


def main() -> None:
    """The entry point."""
    run(_command())


def _command() -> Callable[[], None]:
    def command() -> None:
        prog, words = "python benchmarks/workers_speed.py", str(__doc__)
        settings = parse(Settings, prog=prog, description=words)
        alone = [sys.executable, "-m", "colorizer.fit"]
        together = [sys.executable, str(LAUNCHER), "--workers", str(settings.workers), "--"]
        rates: dict[str, list[float]] = {"one process": [], f"{settings.workers} workers": []}
        for _ in range(settings.repeats):
            for name, begin in zip(rates, (alone, together), strict=True):
                with tempfile.TemporaryDirectory() as folder:
                    rates[name].append(measured(settings, begin, Path(folder)))
                note(f"{name}: {rates[name][-1]:.2f} steps/s")
        print(json.dumps({"machine": describe_machine(), "settings": settings.model_dump_json()}))
        for name, values in rates.items():
            print(f"{name}: {statistics.median(values):.2f} steps/s (median of {len(values)})")

    return command


if __name__ == "__main__":
    main()
