"""Packs a run's network as the weights that ship with the package: colorizer/shipped.

Weights become float16, which halves them; how much that changes the colours is printed and kept in
the manifest. The manifest also keeps the run's configuration and, from the JSON that
`colorizer.evaluate` writes, the figures. It is signed with the key that --sign names; without one
with a key that is made for it and kept nowhere.

Example: python scripts/pack_weights.py --run runs/lite --figures faithful.json vivid.json
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.config import FitConfig, load_config
from colorizer.files import replacing, write_json
from pipelines.errors import ColorizerError, UsageError

if TYPE_CHECKING:
    import keras

SHIPPED = Path(__file__).resolve().parent.parent / "colorizer" / "shipped"
# So much may float16 change ab, in Lab units, on random lightness.
TOLERANCE = 1.0
_PLACES = {"data", "run_dir", "val_data", "resume", "max_minutes"}
_FIGURES = ("psnr", "delta_e_76", "delta_e_2000", "ssim", "colourfulness", "kid")


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    run: Path | None = None
    """Folder of the run. Left out: nothing is packed, and what lies in OUTPUT is signed anew."""
    earlier: tuple[Path, ...] = ()
    """Runs that it started from, the first one first: their configurations are kept too."""
    figures: tuple[Path, ...] = ()
    """Files that colorizer.evaluate --json wrote about it."""
    output: Path = SHIPPED
    """Folder to write to."""
    sign: Path | None = None
    """A private key, as openssl genpkey -algorithm ed25519 writes it. Left out: a new one, kept
    nowhere."""


def pack(arguments: Arguments, run: Path) -> float:
    """Writes weights and manifest; returns how much float16 changes ab, in Lab units.

    Raises:
        ColorizerError: the run is not complete, or float16 changes its colours too much.
    """
    import keras

    from colorizer.shipped import MANIFEST, WEIGHTS

    network = keras.models.load_model(run / "model.keras", compile=False, safe_mode=True)
    configs = [load_config(path / "config.json") for path in (*arguments.earlier, run)]
    halves = [np.asarray(weight, np.float16) for weight in network.weights]
    difference = _difference(network, halves)
    if not difference <= TOLERANCE:
        raise ColorizerError(f"{run}: float16 changes ab by {difference:.2g} Lab units")
    weights = arguments.output / WEIGHTS
    with replacing(weights) as beside:
        np.savez(beside, *halves)
    manifest = {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "model": configs[-1].model,
        "arguments": configs[-1].network_arguments(),
        "statistics": json.loads((run / "statistics.json").read_text(encoding="utf-8")),
        "float16_changes_ab_by": round(difference, 4),
        "stages": [*_stages_before(configs[0]), *(_stage(config) for config in configs)],
        "figures": [_figures(path) for path in arguments.figures],
    }
    write_json(arguments.output / MANIFEST, manifest)
    return difference


def sign_manifest(output: Path, key: Path | None) -> str:
    """Signs the manifest in `output`; gives the fingerprint of the key.

    Raises:
        ColorizerError: the key cannot be read, or there is no manifest.
    """
    from colorizer.shipped import MANIFEST
    from colorizer.shipped.signing import new_private_key, read_private_key, sign

    private = new_private_key() if key is None else read_private_key(key)
    if not (output / MANIFEST).is_file():
        raise ColorizerError(f"{output}: holds no {MANIFEST} to sign")
    return sign(output / MANIFEST, private)


def _difference(network: "keras.Model", halves: list[np.ndarray]) -> float:
    """The greatest difference of ab in Lab units; the network has the half weights afterwards."""
    from pipelines.color import AB_RANGE

    shape = (4, *network.input_shape[1:])
    lightness = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    whole = network.predict_on_batch(lightness)
    network.set_weights([half.astype(np.float32) for half in halves])
    return float(AB_RANGE * np.abs(network.predict_on_batch(lightness) - whole).max())


def _stages_before(first: FitConfig) -> list[dict[str, Any]]:
    """The stages of the weights that the first run went on from, where those are the shipped."""
    from colorizer.shipped import MANIFEST
    from colorizer.training.building import SHIPPED as FROM_SHIPPED

    if first.init_from != (FROM_SHIPPED,):
        return []
    stages: list[dict[str, Any]] = json.loads((SHIPPED / MANIFEST).read_text(encoding="utf-8"))[
        "stages"
    ]
    return stages


def _stage(config: FitConfig) -> dict[str, Any]:
    """What repeats a stage of the training, but for where things lay."""
    stage = config.model_dump(mode="json", exclude=_PLACES)
    stage["init_from"] = [run.name for run in config.init_from]
    stage["transfer"]["teachers"] = [run.name for run in config.transfer.teachers]
    return stage


def _figures(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = ("images", "colourfulness_truth", *_FIGURES, "gray", "mean_ab")
    chosen = {name: content[name] for name in kept if name in content}
    for name in ("gray", "mean_ab"):
        if isinstance(chosen.get(name), dict):
            chosen[name] = {key: chosen[name][key] for key in _FIGURES if key in chosen[name]}
    return {"name": path.stem, **chosen}


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> None:
    arguments = parse(Arguments, prog="python scripts/pack_weights.py", description=__doc__ or "")
    if arguments.run is None and arguments.sign is None:
        raise UsageError("give --run to pack, or --sign to sign what is packed")
    import_tensorflow()
    if arguments.run is not None:
        difference = pack(arguments, arguments.run)
        note(f"float16 changes ab by {difference:.2g} Lab units at most")
    fingerprint = sign_manifest(arguments.output, arguments.sign)
    kept = "" if arguments.sign else ", which is kept nowhere"
    note(f"signed; SHA-256 of the key{kept}: {fingerprint}")
    print(arguments.output)


if __name__ == "__main__":
    main()
