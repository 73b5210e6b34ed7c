"""What a run folder holds, and where."""

import json
import platform
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from colorizer.config import RESUMABLE, FitConfig, load_config
from colorizer.files import replacing, write_json, write_text
from colorizer.locks import PARTIAL, used_alone
from pipelines.errors import ColorizerError, UsageError
from pipelines.preparation import PreparedPhotos

_PACKAGES = ("tensorflow", "keras", "tensorflow-io", "numpy", "pillow", "photo-colorizer")


@dataclass(frozen=True)
class RunFolder:
    """The places of a run folder.

    Attributes:
        path: the folder.
        writes: whether this process writes to it: of several workers only the chief does. What
            the others are given to write is passed over.
    """

    path: Path
    writes: bool = True

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.json"

    @property
    def checkpoint(self) -> Path:
        """The latest state of the training."""
        return self.path / "checkpoints" / "latest.npz"

    @property
    def last_good(self) -> Path:
        """The latest state without a sign of collapse, where a run may roll back to it."""
        return self.path / "checkpoints" / "good.npz"

    @property
    def model(self) -> Path:
        """The best model by validation, in float32."""
        return self.path / "model.keras"

    @property
    def cache(self) -> Path:
        """Lab records; removed when the training has ended."""
        return self.path / "cache"

    @property
    def photos(self) -> Path:
        """The photos that were used and those that were left out."""
        return self.path / "photos.json"

    def sample(self, epoch: int) -> Path:
        """The sample grid after `epoch`, counted from 1."""
        return self.path / "samples" / f"epoch_{epoch:03d}.png"

    def held(self) -> AbstractContextManager[None]:
        """Keeps other trainings out of the folder, as `used_alone`; not where it only reads."""
        return used_alone(self.path) if self.writes else nullcontext()

    def begin(self, config: FitConfig) -> None:
        """Claims the folder for a run and writes what repeats it.

        Raises:
            ColorizerError: the folder holds a run already and --resume was not given.
            UsageError: --resume was given with a configuration that differs.
        """
        if config.resume and self.config.exists():
            _check_same(load_config(self.config), config)
        elif self.checkpoint.exists() or self.model.exists():
            raise ColorizerError(
                f"{self.path}: holds a run already; --resume goes on with it,"
                " or choose another --run-dir"
            )
        elif self.writes:
            write_text(self.config, config.model_dump_json(indent=2) + "\n")
        if not self.writes:
            return
        for left_behind in list(self.path.rglob(f".*{PARTIAL}*")):
            if left_behind.is_dir():
                shutil.rmtree(left_behind)
            else:
                left_behind.unlink(missing_ok=True)
        versions = {name: version(name) for name in _PACKAGES}
        versions |= {"python": platform.python_version(), "platform": platform.platform()}
        write_json(self.path / "versions.json", versions)

    def write_photos(self, train: PreparedPhotos, val: PreparedPhotos) -> None:
        """Lists the photos that were used and those that were left out, and why.

        Raises:
            ColorizerError: the run had begun with other photos.
        """
        listed = {"train": _listed(train), "val": _listed(val)}
        if self.checkpoint.exists():
            begun = json.loads(self.photos.read_text(encoding="utf-8"))
            for name, photos in listed.items():
                if begun[name]["fingerprint"] != photos["fingerprint"]:
                    raise ColorizerError(
                        f"{self.path}: the {name} photos have changed since the run began:"
                        " begin another"
                    )
        if self.writes:
            write_json(self.photos, listed)

    def write_statistics(self, statistics: dict[str, Any]) -> None:
        """Writes what evaluation and export need to know of the training set."""
        if self.writes:
            write_json(self.path / "statistics.json", statistics)

    def write_model(self, model: keras.Model) -> None:
        """Writes the model in Keras's own format, whole or not at all."""
        if self.writes:
            with replacing(self.model) as beside:
                model.save(beside)

    def write_history(self, history: Sequence[dict[str, float]]) -> None:
        """Writes one row of figures for each finished epoch."""
        if self.writes:
            write_json(self.path / "history.json", list(history))

    def drop_cache(self) -> None:
        """Removes the Lab records."""
        if self.writes:
            shutil.rmtree(self.cache, ignore_errors=True)


def _check_same(stored: FitConfig, given: FitConfig) -> None:
    for name in FitConfig.model_fields:
        if name in RESUMABLE or getattr(stored, name) == getattr(given, name):
            continue
        flag = name.replace("_", "-")
        raise UsageError(
            f"--{flag} {getattr(given, name)} differs from the run's"
            f" {getattr(stored, name)}: --resume goes on with a run as it was begun"
        )


def _listed(prepared: PreparedPhotos) -> dict[str, Any]:
    return {
        "usable": len(prepared),
        "left_out": len(prepared.rejected),
        "fingerprint": prepared.fingerprint,
        "rejected": [{"file": str(item.path), "reason": item.reason} for item in prepared.rejected],
        "photos": [str(path) for path in prepared.photos],
    }
