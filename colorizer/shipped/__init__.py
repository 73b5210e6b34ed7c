"""The colorizer that ships with the package: its weights, and what is known of them.

    weights.npz    the network's weights in float16, in the network's order, without pickle
    manifest.json  the SHA-256 of weights.npz, how to build the network, what its run knew of its
                   photos, how it was trained, and what it scored
    manifest.json.sig, key.pem  an Ed25519 signature over the manifest, and the key that it holds by

`scripts/pack_weights.py` makes all four from a run.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from colorizer import models
from colorizer.files import read_verified
from colorizer.images.provenance import Provenance
from colorizer.shipped.signing import read_signed
from pipelines.errors import ColorizerError

FOLDER = Path(__file__).resolve().parent
WEIGHTS = "weights.npz"
MANIFEST = "manifest.json"


def load_shipped(
    folder: Path = FOLDER, image_size: int | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """Builds the shipped network and sets its weights, once signature and checksum are verified.

    Args:
        folder: where weights, manifest, signature and key lie.
        image_size: S, in pixels, where it shall not be what the manifest says.

    Returns:
        The network, from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2), and the statistics of its
        run ("mean_ab", "image_size", "resize", ...).

    Raises:
        ColorizerError: a file is missing or damaged, the manifest is not the one that was signed,
            or the weights are not those of the manifest.
    """
    manifest = read_manifest(folder)
    arrays = _read_weights(folder / WEIGHTS, manifest["sha256"])
    arguments = manifest["arguments"]
    if image_size is not None:
        arguments = {**arguments, "image_size": image_size}
    network = models.build(manifest["model"], **arguments)
    shapes = [tuple(weight.shape) for weight in network.weights]
    if [array.shape for array in arrays] != shapes:
        raise ColorizerError(f"{folder / WEIGHTS}: does not hold the weights of the network")
    network.set_weights([array.astype(np.float32) for array in arrays])
    return network, manifest["statistics"]


def shipped_provenance(folder: Path = FOLDER) -> Provenance:
    """What pictures that the shipped network has coloured say of it.

    Raises:
        ColorizerError: there is no manifest, or it is damaged.
    """
    manifest = read_manifest(folder)
    return Provenance(manifest["model"], manifest["sha256"])


def read_manifest(folder: Path = FOLDER) -> dict[str, Any]:
    """Reads what is known of the shipped weights, once its signature is verified.

    Raises:
        ColorizerError: a file is missing or damaged, or the manifest is not what was signed.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(read_signed(path))
    except ValueError as error:
        raise ColorizerError(f"{path}: cannot be read: {error}") from error
    missing = {"sha256", "model", "arguments", "statistics"} - set(manifest)
    if missing:
        raise ColorizerError(f"{path}: lacks {', '.join(sorted(missing))}")
    return manifest


def _read_weights(path: Path, sha256: str) -> list[np.ndarray]:
    content = read_verified(path, sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return [stored[name] for name in stored.files]
    except (ValueError, zipfile.BadZipFile) as error:
        raise ColorizerError(f"{path}: cannot be read: {error}") from error
