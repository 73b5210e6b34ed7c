"""Trained networks from their files: run folders, exports, and the weights that ship."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras

from colorizer.files import sha256_of
from colorizer.guidance.networks import Network, network_in_use
from colorizer.images.provenance import Provenance
from colorizer.models import network_size
from colorizer.runtimes import NETWORK_FILES, format_of, load_network
from colorizer.shipped import load_shipped, shipped_provenance
from colorizer.styles import DEFAULT_STYLE
from pipelines.errors import ColorizerError


class TrainedModel(NamedTuple):
    """A network and what is known of it.

    Attributes:
        network: ready to run.
        image_size: S, the side of the square that it sees, in pixels.
        statistics: what its run recorded about itself.
        path: its folder; None for the weights that ship with the package.
        provenance: what its pictures say of their colours.
    """

    network: Network
    image_size: int
    statistics: Mapping[str, Any]
    path: Path | None
    provenance: Provenance


def read_model(path: str | Path | None) -> TrainedModel:
    """Reads a model; see `colorizer.inference.load`.

    Raises:
        ColorizerError: there is no model at `path`, it cannot be loaded, or the runtime of its
            format is not installed.
    """
    if path is None:
        return read_shipped()
    folder = Path(path)
    if not folder.is_dir():
        raise ColorizerError(f"{folder}: no such folder; a model is a run or an export")
    if (folder / "model.keras").is_file():
        return _load_run(folder)
    version = folder if format_of(folder) else _highest_version(folder)
    if version is None:
        raise ColorizerError(
            f"{folder}: holds no model: neither a run (model.keras), nor an export "
            f"({', '.join(NETWORK_FILES.values())}), nor numbered versions of one"
        )
    return _load_export(version)


def read_shipped(image_size: int | None = None) -> TrainedModel:
    """Reads the weights that ship with the package.

    Args:
        image_size: S, in pixels, where it shall not be that of the training.

    Raises:
        ColorizerError: they are damaged.
    """
    return _of_network(*load_shipped(image_size=image_size), None, shipped_provenance())


def _load_run(folder: Path) -> TrainedModel:
    statistics = _read_json(folder / "statistics.json")
    model_path = folder / "model.keras"
    with _loading(model_path):
        model = keras.models.load_model(model_path, compile=False, safe_mode=True)
    return _of_network(model, statistics, folder, Provenance(model.name, sha256_of(model_path)))


def _of_network(
    model: keras.Model,
    statistics: Mapping[str, Any],
    folder: Path | None,
    provenance: Provenance,
) -> TrainedModel:
    try:
        size = network_size(model)
    except ValueError as error:
        raise ColorizerError(f"{folder or 'the shipped weights'}: {error}") from error
    network = network_in_use(model, statistics, size, str(folder or "the shipped network"))
    if network.styles:
        provenance = provenance.with_settings(style=DEFAULT_STYLE)
    return TrainedModel(network, size, statistics, folder, provenance)


def _load_export(folder: Path) -> TrainedModel:
    extra = folder / "assets.extra"
    statistics_path = extra / "statistics.json"
    statistics = _read_json(statistics_path)
    size = statistics.get("image_size")
    if not isinstance(size, int) or size < 1:
        raise ColorizerError(f'{statistics_path}: "image_size" must be a whole number, not {size}')
    with _loading(folder):
        predict = load_network(folder, size)
    network = Network(predict, str(folder))
    return TrainedModel(network, size, statistics, folder, _provenance(extra))


def _provenance(extra: Path) -> Provenance:
    # Exports of earlier versions say nothing of it.
    path = extra / "export.json"
    stated = _read_json(path).get("provenance") if path.is_file() else None
    return Provenance.of_json(stated, str(path))


def _highest_version(folder: Path) -> Path | None:
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and format_of(entry)]
    return max(versions, key=lambda entry: int(entry.name), default=None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ColorizerError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ColorizerError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ColorizerError(f"{path}: holds no JSON object")
    return content


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    # Keras, zipfile, h5py, TensorFlow and the runtimes each raise their own kinds for a damaged
    # model.
    try:
        yield
    except ColorizerError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ColorizerError(f"{path}: cannot be loaded: {first}") from error
