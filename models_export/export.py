"""python -m models_export.export: a training run out as a SavedModel, checked by reloading."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.files import write_json
from models_export.versions import EXTRA, check_place, publish
from pipelines.errors import ColorizerError

if TYPE_CHECKING:
    import keras


class ExportConfig(BaseModel):
    """The command's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    """Base folder: the SavedModel is written to OUTPUT/NAME/VERSION."""
    run: Path | None = None
    """Folder of a training run, as colorizer.fit writes it. Left out: the weights that ship with
    the package."""
    name: str = "colorizer"
    """The model's name."""
    style: Literal["faithful", "vivid"] | None = None
    """The style that the SavedModel answers in, for models that know both. Left out: faithful."""
    version: int | None = Field(None, ge=1)
    """The version's number. Left out: one more than the highest there. Never overwrites."""


def export_run(
    run: Path | None,
    output: Path,
    name: str = "colorizer",
    version: int | None = None,
    style: str | None = None,
) -> Path:
    """Exports a training run's model as the SavedModel `output`/`name`/`version`.

    The folder appears whole and verified or not at all. Beside the SavedModel's own files it
    holds assets.extra/statistics.json, the run's own, and assets.extra/export.json: the versions
    of TensorFlow and Keras, the signatures, and by how much each differs from the Keras model.
    Progress and those differences are printed on stderr.

    Args:
        run: a run folder with model.keras and statistics.json; None takes the weights that ship
            with the package.
        output: the base folder; made where it is missing.
        name: the model's name.
        version: 1 or more; None takes one more than the highest there.
        style: "faithful" or "vivid", for a model that knows both; None takes faithful.

    Returns:
        The new version's folder.

    Raises:
        UsageError: `name` or `version` is not usable, or the model does not know both styles.
        ColorizerError: the run is not complete or not a colorizer, the version exists already,
            or the SavedModel differs from the Keras model by more than verification allows.
    """
    check_place(output, name, version)
    from colorizer.shipped import load_shipped
    from colorizer.styles import in_style

    model, statistics = load_shipped() if run is None else _of_run(run)
    title = str(run or "the shipped weights")
    model = in_style(model, statistics, style, title)
    return publish(output, name, version, partial(_fill, model, statistics, name, title))


def _of_run(run: Path) -> tuple["keras.Model", dict[str, Any]]:
    for required in ("model.keras", "statistics.json"):
        if not (run / required).is_file():
            raise ColorizerError(f"{run}: not a finished training run: it has no {required}")
    model = _load_model(run / "model.keras")
    return model, _checked_statistics(run / "statistics.json", model.input_shape[1])


def _fill(
    model: "keras.Model", statistics: dict[str, Any], name: str, title: str, folder: Path
) -> None:
    from models_export.signatures import write_saved_model
    from models_export.verification import TOLERANCES, UNITS, verify
    from models_export.warmup import example_requests, write_warmup

    note(f"exporting {title}")
    write_saved_model(model, folder)
    note("verifying: reloading it and comparing it with the Keras model")
    differences = verify(folder, model)
    for signature, difference in differences.items():
        note(
            f"  {signature}: max difference {difference:.2g} {UNITS[signature]} "
            f"(allowed {TOLERANCES[signature]:g})"
        )
    write_warmup(folder, name, example_requests(model.input_shape[1]))
    extra = folder / EXTRA
    write_json(extra / "statistics.json", statistics)
    write_json(extra / "export.json", _description(name, differences))


def _description(name: str, differences: dict[str, float]) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    from models_export.verification import INPUTS, OUTPUTS, TOLERANCES, UNITS

    return {
        "name": name,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "signatures": {
            signature: {
                "input": dict(zip(("name", "dtype", "rank"), INPUTS[signature], strict=True)),
                "output": dict(zip(("name", "dtype", "rank"), OUTPUTS[signature], strict=True)),
                "max_difference": difference,
                "tolerance": TOLERANCES[signature],
                "unit": UNITS[signature],
            }
            for signature, difference in differences.items()
        },
    }


def _load_model(path: Path) -> "keras.Model":
    import keras

    from colorizer.models import network_size

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ColorizerError(f"{path}: not a Keras model that can be loaded: {reason}") from error
    try:
        network_size(model)
    except ValueError as error:
        raise ColorizerError(f"{path}: {error}") from error
    return model


def _checked_statistics(path: Path, image_size: int) -> dict[str, Any]:
    """Reads a model's statistics, which whoever loads the export trusts."""
    try:
        statistics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        mean_a, mean_b = (float(value) for value in statistics["mean_ab"])
        stated_size = statistics["image_size"]
    except (ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ColorizerError(f"{path}: not the statistics of a run: {reason}") from error
    if not (abs(mean_a) <= 1.0 and abs(mean_b) <= 1.0):
        raise ColorizerError(f"{path}: mean_ab must lie in [-1, 1], not {[mean_a, mean_b]}")
    if stated_size != image_size:
        raise ColorizerError(
            f"{path}: image_size is {stated_size}, but the model sees {image_size}"
        )
    return statistics


def _command() -> None:
    config = parse(
        ExportConfig,
        prog="python -m models_export.export",
        description="Write a model as a SavedModel OUTPUT/NAME/VERSION, verify it "
        "by reloading, and print its folder.",
    )
    import_tensorflow()
    print(export_run(config.run, config.output, config.name, config.version, config.style))


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
