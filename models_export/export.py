"""python -m models_export.export: a model as SavedModel, LiteRT or ONNX, checked by running it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.files import sha256_of, write_json
from colorizer.images.provenance import Provenance
from models_export.versions import EXTRA, check_place, publish
from pipelines.errors import ColorizerError, NotWrittenError, UsageError

if TYPE_CHECKING:
    import keras

    from models_export.conversion import NetworkFormat


class Source(NamedTuple):
    """What is exported.

    Attributes:
        model: the network, in the style that was asked for.
        statistics: of its run.
        provenance: what its pictures say of their colours.
    """

    model: "keras.Model"
    statistics: dict[str, Any]
    provenance: Provenance


ExportFormat = Literal["saved_model", "litert", "onnx"]
Quantization = Literal["float16", "int8"]

EXAMPLES = """
# The network that ships, as a SavedModel for models_export.serve or TensorFlow Serving.
python -m models_export.export --output exported
# A run, answering vividly (of a network that knows both styles).
python -m models_export.export --run runs/lite --style vivid --output exported
# 8 bits in one file, for phones and small boards.
python -m models_export.export --format litert --quantize int8 --calibration photos/train \\
    --output exported
"""


class ExportConfig(BaseModel):
    """The command's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path
    """Base folder: the export is written to OUTPUT/NAME/VERSION."""
    run: Path | None = None
    """Folder of a training run, as colorizer.fit writes it. Left out: the weights that ship with
    the package."""
    name: str | None = None
    """The model's name. Left out: colorizer, with the format behind it unless it is a
    SavedModel."""
    format: ExportFormat = "saved_model"
    """saved_model colours whole photos; litert and onnx are the network alone, in one file."""
    quantize: Quantization | None = None
    """For litert: half the size, or less than a third of the size and faster."""
    calibration: Path | None = None
    """For int8: a folder of some dozens of JPEG photos, of the kind that is to be coloured."""
    style: Literal["faithful", "vivid"] | None = None
    """The style that the export answers in, for models that know both. Left out: faithful."""
    version: int | None = Field(None, ge=1)
    """The version's number. Left out: one more than the highest there. Never overwrites."""


def export_run(
    run: Path | None,
    output: Path,
    name: str | None = None,
    version: int | None = None,
    style: str | None = None,
    *,
    export_format: ExportFormat = "saved_model",
    quantize: Quantization | None = None,
    calibration: Path | None = None,
) -> Path:
    """Exports a training run's model as `output`/`name`/`version`.

    The folder appears whole and verified or not at all. Beside the model's own files it holds
    assets.extra/statistics.json, the run's own, and assets.extra/export.json: the versions of
    TensorFlow and Keras, what goes in and out, and by how much it differs from the Keras model.
    Progress and those differences are printed on stderr.

    Args:
        run: a run folder with model.keras and statistics.json; None takes the weights that ship
            with the package.
        output: the base folder; made where it is missing.
        name: the model's name; None takes "colorizer", "colorizer_litert", "colorizer_litert_int8"
            and so on.
        version: 1 or more; None takes one more than the highest there.
        style: "faithful" or "vivid", for a model that knows both; None takes faithful.
        export_format: "saved_model" (`models_export.signatures`), "litert" or "onnx"
            (`models_export.conversion`).
        quantize: for "litert", "float16" or "int8".
        calibration: for "int8", a folder of JPEG photos; 100 of them are looked at, at most.

    Returns:
        The new version's folder.

    Raises:
        UsageError: the arguments do not go together, or the model does not know both styles.
        ColorizerError: the run is not complete or not a colorizer, the version exists already,
            the format's package is not installed or cannot express the network, there are no
            photos to calibrate on, or the export differs from the Keras model by more than
            verification allows.
    """
    _check_quantization(export_format, quantize, calibration)
    if name is None:
        behind = "" if export_format == "saved_model" else f"_{export_format}"
        name = f"colorizer{behind}" + (f"_{quantize}" if quantize else "")
    check_place(output, name, version)
    _check_base(output / name, export_format)
    source = _source(run, style)
    note(f"exporting {run or 'the shipped weights'}")
    if export_format == "saved_model":
        fill = partial(_fill, source, name)
    else:
        fill = partial(_fill_with_network, source, name, export_format, quantize, calibration)
    return publish(output, name, version, fill)


def _check_quantization(
    export_format: ExportFormat, quantize: Quantization | None, calibration: Path | None
) -> None:
    if quantize is not None and export_format != "litert":
        raise UsageError(f"--quantize {quantize}: is for --format litert")
    if quantize == "int8" and calibration is None:
        raise UsageError("--quantize int8: needs --calibration, a folder of photos")
    if calibration is not None and quantize != "int8":
        raise UsageError(f"--calibration {calibration}: is for --quantize int8")


def _check_base(models: Path, export_format: ExportFormat) -> None:
    """Servers watch a base for SavedModels: no other format may come between them."""
    from colorizer.runtimes import format_of

    for folder in models.iterdir() if models.is_dir() else ():
        if folder.name.isdecimal() and (format_of(folder) or export_format) != export_format:
            raise UsageError(f"{models}: holds versions of another format: give another --name")


def _source(run: Path | None, style: str | None) -> Source:
    from colorizer.shipped import load_shipped, shipped_provenance
    from colorizer.styles import DEFAULT_STYLE, in_style

    if run is None:
        provenance = shipped_provenance()
        model, statistics = load_shipped()
    else:
        model, statistics = _of_run(run)
        provenance = Provenance(model.name, sha256_of(run / "model.keras"))
    styled = in_style(model, statistics, style, str(run or "the shipped weights"))
    if styled is not model:
        provenance = provenance.with_settings(style=style or DEFAULT_STYLE)
    return Source(styled, statistics, provenance)


def _of_run(run: Path) -> tuple["keras.Model", dict[str, Any]]:
    for required in ("model.keras", "statistics.json"):
        if not (run / required).is_file():
            raise ColorizerError(f"{run}: not a finished training run: it has no {required}")
    model = _load_model(run / "model.keras")
    return model, _checked_statistics(run / "statistics.json", model.input_shape[1])


def _fill(source: Source, name: str, folder: Path) -> None:
    from models_export.signatures import write_saved_model
    from models_export.verification import TOLERANCES, UNITS, verify
    from models_export.warmup import example_requests, write_warmup

    model, statistics, provenance = source
    with _writing(folder):
        write_saved_model(model, folder, provenance)
    # TensorFlow writes shards here first, and keeps quiet where it cannot remove them.
    if (temporary := folder / "variables" / "variables_temp").exists():
        shutil.rmtree(temporary)
    note("verifying: reloading it and comparing it with the Keras model")
    differences = verify(folder, model)
    for signature, difference in differences.items():
        note(
            f"  {signature}: max difference {difference:.2g} {UNITS[signature]} "
            f"(allowed {TOLERANCES[signature]:g})"
        )
    requests = example_requests(model.input_shape[1])
    with _writing(folder):
        write_warmup(folder, name, requests)
    extra = folder / EXTRA
    write_json(extra / "statistics.json", statistics)
    write_json(extra / "export.json", _description(name, provenance, differences))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Takes TensorFlow's word for a disk that is full or broken for what it is."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise NotWrittenError(folder, error) from error


def _fill_with_network(
    source: Source,
    name: str,
    network_format: "NetworkFormat",
    quantize: Quantization | None,
    calibration: Path | None,
    folder: Path,
) -> None:
    from models_export.conversion import calibration_photos, write_network
    from models_export.verification import NETWORK_TOLERANCES, verify_network

    model, statistics, provenance = source
    photos = None if calibration is None else calibration_photos(calibration, model)
    path = write_network(model, folder, network_format, quantize, photos)
    note("verifying: running it and comparing it with the Keras model")
    difference = verify_network(folder, model, quantize, photos)
    note(
        f"  {path.name}, {path.stat().st_size / 1e6:.1f} MB: difference {difference} "
        f"of ab in [-1, 1] (allowed {NETWORK_TOLERANCES[quantize]})"
    )
    write_json(folder / EXTRA / "statistics.json", statistics)
    description = {
        **_origin(name, provenance),
        "format": network_format,
        "quantize": quantize,
        "calibration_photos": None if photos is None else len(photos),
        "input": {"name": "lightness", "dtype": "float32", "shape": [None, *model.input_shape[1:]]},
        "output": {"name": "ab", "dtype": "float32", "shape": [None, *model.output_shape[1:]]},
        "max_difference": difference.max,
        "mean_difference": difference.mean,
        "unit": "of ab in [-1, 1]",
    }
    write_json(folder / EXTRA / "export.json", description)


def _origin(name: str, provenance: Provenance) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    return {
        "name": name,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "provenance": provenance.as_json(),
    }


def _description(
    name: str, provenance: Provenance, differences: dict[str, float]
) -> dict[str, Any]:
    from models_export.verification import HINTS, INPUTS, OUTPUTS, TOLERANCES, UNITS

    described: dict[str, Any] = {name: _named(put) for name, put in INPUTS.items()}
    described["colorize_hinted"] = [described["colorize_hinted"], _named(HINTS)]

    return {
        **_origin(name, provenance),
        "signatures": {
            signature: {
                "input": described[signature],
                "output": _named(OUTPUTS[signature]),
                "max_difference": difference,
                "tolerance": TOLERANCES[signature],
                "unit": UNITS[signature],
            }
            for signature, difference in differences.items()
        },
    }


def _named(put: tuple[str, str, int]) -> dict[str, Any]:
    return dict(zip(("name", "dtype", "rank"), put, strict=True))


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
        description="Write a model to OUTPUT/NAME/VERSION, as a SavedModel or for LiteRT or ONNX "
        "Runtime, verify it by running it, and print its folder.",
        examples=EXAMPLES,
    )
    _check_quantization(config.format, config.quantize, config.calibration)
    import_tensorflow()
    folder = export_run(
        config.run,
        config.output,
        config.name,
        config.version,
        config.style,
        export_format=config.format,
        quantize=config.quantize,
        calibration=config.calibration,
    )
    print(folder)


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
