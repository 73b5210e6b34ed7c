"""Trained networks from their files: run folders, exports, and the weights that ship."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras

from colorizer.guidance.networks import Network, network_in_use
from colorizer.models import network_size
from colorizer.runtimes import NETWORK_FILES, format_of, load_network
from colorizer.shipped import load_shipped
from pipelines.errors import ColorizerError


class TrainedModel(NamedTuple):
    """A network and what is known of it.

    Attributes:
        network: ready to run.
        image_size: S, the side of the square that it sees, in pixels.
        statistics: what its run recorded about itself.
        path: its folder; None for the weights that ship with the package.
    """

    network: Network
    image_size: int
    statistics: Mapping[str, Any]
    path: Path | None


def read_model(path: str | Path | None) -> TrainedModel:
    """Reads a model; see `colorizer.inference.load`.

    Raises:
        ColorizerError: there is no model at `path`, it cannot be loaded, or the runtime of its
            format is not installed.
    """
    if path is None:
        return _of_network(*load_shipped(), None)
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


def _load_run(folder: Path) -> TrainedModel:
    statistics = _read_statistics(folder / "statistics.json")
    model_path = folder / "model.keras"
    with _loading(model_path):
        model = keras.models.load_model(model_path, compile=False, safe_mode=True)
    return _of_network(model, statistics, folder)


def _of_network(
    model: keras.Model, statistics: Mapping[str, Any], folder: Path | None
) -> TrainedModel:
    try:
        size = network_size(model)
    except ValueError as error:
        raise ColorizerError(f"{folder or 'the shipped weights'}: {error}") from error
    network = network_in_use(model, statistics, size, str(folder or "the shipped network"))
    return TrainedModel(network, size, statistics, folder)


def _load_export(folder: Path) -> TrainedModel:
    statistics_path = folder / "assets.extra" / "statistics.json"
    statistics = _read_statistics(statistics_path)
    size = statistics.get("image_size")
    if not isinstance(size, int) or size < 1:
        raise ColorizerError(f'{statistics_path}: "image_size" must be a whole number, not {size}')
    with _loading(folder):
        predict = load_network(folder, size)
    return TrainedModel(Network(predict, str(folder)), size, statistics, folder)


def _highest_version(folder: Path) -> Path | None:
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and format_of(entry)]
    return max(versions, key=lambda entry: int(entry.name), default=None)


def _read_statistics(path: Path) -> dict[str, Any]:
    try:
        statistics = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ColorizerError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ColorizerError(f"{path}: is not JSON: {error}") from error
    if not isinstance(statistics, dict):
        raise ColorizerError(f"{path}: holds no JSON object")
    return statistics


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
