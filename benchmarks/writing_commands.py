"""The commands that write files, small, and how what one has left is compared with a whole result.

For `write_faults.py` and `kills.py`.
"""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples" / "photos"

# A network that trains in seconds.
_TINY_CNN = (
    *("--cnn.encoder-filters", "4", "8", "8", "8", "8"),
    *("--cnn.decoder-filters", "8", "4", "--cnn.output-filters", "4", "4"),
)
_TINY_RUN = (
    *("--data", str(SAMPLES / "train"), "--val-data", str(SAMPLES / "val"), "--seed", "5"),
    *("--preset", "smoke", "--image-size", "32", "--batch-size", "8", *_TINY_CNN),
)
# Appended to while the training goes on, or thrown away at its end: neither is a result.
_WORKING = ("tensorboard", "cache")


class Inputs(NamedTuple):
    """What the commands read.

    Attributes:
        album: a folder of photos.
        run: a run folder.
        export: a SavedModel of it.
        key: to sign with, so that signatures are equal.
        url: of a server that serves it.
    """

    album: Path
    run: Path
    export: Path
    key: Path
    url: str


class WritingCommand(NamedTuple):
    """A command that writes.

    Attributes:
        module: of the command, or its script.
        arguments: where "OUT" stands for the folder to write to.
        again: arguments for the second attempt.
        environment: likewise with "OUT".
    """

    module: str
    arguments: tuple[str, ...]
    again: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}

    def argv(self, out: Path, *, again: bool = False) -> list[str]:
        """The arguments, for an output folder."""
        words = (*self.arguments, *(self.again if again else ()))
        return [word.replace("OUT", str(out)) for word in words]

    def process(self, out: Path, *, again: bool = False) -> list[str]:
        """The whole command line."""
        start = [self.module] if self.module.endswith(".py") else ["-m", self.module]
        return [sys.executable, *start, *self.argv(out, again=again)]

    def variables(self, out: Path) -> dict[str, str]:
        """What the command's environment has to hold."""
        return {name: text.replace("OUT", str(out)) for name, text in self.environment.items()}


def writing_commands(inputs: Inputs, epochs: int = 1) -> dict[str, WritingCommand]:
    """All of them, by the names that the tables give them."""
    album, run = str(inputs.album), str(inputs.run)
    # A checkpoint after each step.
    often = ("--checkpoint-minutes", "0.00001", "--epochs", str(epochs))
    fit = (*_TINY_RUN, "--run-dir", "OUT", *often)
    export = ("--run", run, "--output", "OUT")
    sheets = ("--json", "OUT/a.json", "--markdown", "OUT/a.md", "--sheet", "OUT/a.png")
    dataset = ("--dataset", "photo_folder", "--source", str(SAMPLES), "--name", "samples")
    skip = ("--skip-existing",)
    return {
        "fit": WritingCommand("colorizer.fit", fit, ("--resume",)),
        "evaluate": WritingCommand(
            "colorizer.evaluate",
            ("--model", run, "--data", str(SAMPLES / "val"), "--no-kid", *sheets),
        ),
        "colorize": WritingCommand(
            "colorizer.colorize", (album, "--output", "OUT", "--model", run), skip
        ),
        "client": WritingCommand(
            "models_export.client", (album, "--output", "OUT", "--url", inputs.url), skip
        ),
        "batch": WritingCommand(
            "models_export.batch",
            ("--input", album, "--output", "OUT", "--model", str(inputs.export)),
        ),
        "export": WritingCommand("models_export.export", export),
        "export litert": WritingCommand("models_export.export", (*export, "--format", "litert")),
        "export onnx": WritingCommand("models_export.export", (*export, "--format", "onnx")),
        "build_dataset": WritingCommand(
            "colorizer.build_dataset", dataset, environment={"TFDS_DATA_DIR": "OUT"}
        ),
        "pack_weights": WritingCommand(
            str(ROOT / "scripts" / "pack_weights.py"),
            ("--run", run, "--output", "OUT", "--sign", str(inputs.key)),
        ),
    }


def draw_album(folder: Path, photos: int, size: tuple[int, int]) -> Path:
    """Makes a folder of so many photos, half of them in a sub-folder; gives it back."""
    sources = sorted((SAMPLES / "train").rglob("*.jpg"))
    for number in range(photos):
        place = folder / ("deep" if number % 2 else "") / f"{number:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(sources[number % len(sources)]) as photo:
            photo.convert("RGB").resize(size).save(place, quality=90)
    return folder


def prepared(work: Path, url: str = "") -> Inputs:
    """Makes what the commands read, or takes what an earlier call has made."""
    export = work / "base" / "colorizer" / "1"
    inputs = Inputs(work / "album", work / "run", export, work / "key.pem", url)
    if not inputs.key.exists():
        make_key = ("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(inputs.key))
        subprocess.run(make_key, check=True)
    if not inputs.album.exists():
        draw_album(inputs.album, 4, (160, 120))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = writing_commands(inputs)
    if not (inputs.run / "metrics.json").exists():
        subprocess.run(commands["fit"].process(inputs.run), check=True, **quiet)  # type: ignore
    if not inputs.export.exists():
        making = commands["export"].process(work / "base")
        subprocess.run(making, check=True, **quiet)  # type: ignore[call-overload]
    return inputs


def left_over(out: Path) -> list[str]:
    """What lies in the output that is no result: files and folders with names for work."""
    return [name for name, _ in _all(out) if _is_work(name)]


def damages(out: Path, whole: Mapping[str, Any]) -> list[str]:
    """What is not whole under a final name: every file must be as in the whole result.

    Args:
        out: what a command has left.
        whole: `contents` of what an undisturbed one left.
    """
    found = []
    reports = _reports_that_agree(out, whole)
    for name, path in _all(out):
        if path.is_dir() or _is_work(name) or Path(name).parts[0] in _WORKING or name in reports:
            continue
        try:
            content = _content(path)
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if not _belongs(name, content, whole):
            found.append(f"{name}: not that of the whole result")
    return found


def failures(out: Path) -> dict[str, str]:
    """Photos that the reports of a job name as failed, with the reasons."""
    lines = [line for path in out.glob("errors-*.jsonl") for line in path.read_text().splitlines()]
    return {told["source"]: told["reason"] for told in map(json.loads, lines)}


def _reports_that_agree(out: Path, whole: Mapping[str, Any]) -> set[str]:
    """Reports of a job that name the photos which are missing, and the whole result's do not."""
    summary = out / "summary.json"
    if not summary.exists() or not (failed := failures(out)):
        return set()
    # Where all else is as it is in the whole result.
    missing = [name for name in whole if name.endswith(".png") and not (out / name).exists()]
    counts, all_done = _summary(summary.read_bytes()), whole["summary.json"]
    expected = {**all_done, "done": all_done["done"] - len(failed), "failed": len(failed)}
    if len(failed) != len(missing) or counts != expected:
        return set()
    return {summary.name, *(path.name for path in out.glob("errors-*.jsonl"))}


def contents(out: Path) -> dict[str, Any]:
    """The results in a folder by name, such that those of equal runs are equal."""
    return {
        name: _content(path)
        for name, path in _all(out)
        if path.is_file() and not _is_work(name) and Path(name).parts[0] not in _WORKING
    }


def lasting(name: str) -> str:
    """A name without what is random in it, or a number or time."""
    return re.sub(r"[0-9a-f]{8,}(-[0-9a-f]{4,})*|[0-9]+", "*", name)


def remains(out: Path) -> Any:
    """What a second attempt finds: the results, and the names and sizes of all else."""
    results = contents(out)
    rest = [
        (lasting(name), path.stat().st_size if path.is_file() else -1)
        for name, path in _all(out)
        if name not in results
    ]
    return results, sorted(rest)


def _all(out: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(out.rglob("*")):
        yield path.relative_to(out).as_posix(), path


def _is_work(name: str) -> bool:
    # Where tfds keeps the name of a dataset's first configuration.
    if ".config" in Path(name).parts:
        return False
    return any(
        part.startswith((".", "beam-temp-")) or "incomplete" in part for part in Path(name).parts
    )


def _belongs(name: str, content: Any, whole: Mapping[str, Any]) -> bool:
    """Whether a file is that of the whole result, or of the same training at an earlier time."""
    if name not in whole:
        return False
    if name == "history.json":
        return bool(content == whole[name][: len(content)])
    # These change with each epoch: that they can be read whole is what can be asked.
    if name in ("model.keras", "checkpoints/latest.npz", "learning_curve.png"):
        return True
    return bool(content == whole[name])


def _content(path: Path) -> Any:
    data = path.read_bytes()
    if path.parent.name == "variables":
        return _variables(path)
    if ".array_record" in path.name:
        return _examples(path)
    if path.name == "summary.json":
        return _summary(data)
    match path.suffix:
        case ".json" | ".jsonl":
            return [_without_time(json.loads(line)) for line in _documents(path, data)]
        case ".npz":
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {name: _array(name, arrays[name]) for name in arrays.files}
        case ".keras":
            return _keras(data)
        case ".onnx":
            import onnx

            # Names are counted through a process, or drawn.
            graph = onnx.load_model_from_string(data).graph
            weights = sorted(onnx.numpy_helper.to_array(one).tobytes() for one in graph.initializer)
            return sorted(node.op_type for node in graph.node), weights
        case ".png":
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        case ".pb" if path.name == "saved_model.pb":
            from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

            # Names of functions are counted through a process.
            return len(SavedModel.FromString(data).meta_graphs)
        case ".pb":
            return None
    return hashlib.sha256(data).hexdigest()


def _variables(path: Path) -> Any:
    """The values of a SavedModel, whose order in the file is another each time."""
    if path.suffix != ".index":
        return None
    import tensorflow as tf

    stored = tf.train.load_checkpoint(str(path.with_suffix("")))
    names = set(stored.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return sorted(stored.get_tensor(name).tobytes() for name in names)


def _examples(path: Path) -> Any:
    """The examples of a dataset, whose features are in another order each time."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from tensorflow.core.example.example_pb2 import Example

    records = ArrayRecordDataSource([str(path)])
    examples = [Example.FromString(records[i]).features.feature for i in range(len(records))]
    return [
        sorted((name, feature.SerializeToString()) for name, feature in example.items())
        for example in examples
    ]


def _summary(data: bytes) -> dict[str, int]:
    """The counts of a job, where it does not matter which attempt has done a photo."""
    counts: dict[str, int] = json.loads(data)
    counts["done"] += counts.pop("skipped")
    return counts


def _documents(path: Path, data: bytes) -> list[str]:
    text = data.decode()
    return sorted(text.splitlines()) if path.suffix == ".jsonl" else [text]


def _array(name: str, array: np.ndarray) -> Any:
    if name == "progress":
        return _without_time(json.loads(str(array)))
    return array.shape, array.dtype.str, array.tobytes()


def _keras(data: bytes) -> Any:
    import h5py

    weights: dict[str, bytes] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = np.asarray(item).tobytes()

    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        if parts.testzip():
            raise zipfile.BadZipFile("a damaged part")
        json.loads(parts.read("config.json"))
        with h5py.File(io.BytesIO(parts.read("model.weights.h5"))) as file:
            file.visititems(take)
    return weights


def _without_time(value: Any) -> Any:
    """JSON without what two equal runs may differ in."""
    if isinstance(value, dict):
        skipped = ("seconds", "resume")
        return {key: _without_time(item) for key, item in value.items() if key not in skipped}
    return [_without_time(item) for item in value] if isinstance(value, list) else value
