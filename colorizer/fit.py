"""`python -m colorizer.fit`: trains a network on a folder of photos."""

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from pydantic import BaseModel

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.config import (
    FitConfig,
    ModelName,
    PresetName,
    TrainingName,
    load_config,
    preset_defaults,
)
from pipelines.errors import ColorizerError, NotWrittenError, UsageError

if TYPE_CHECKING:
    from colorizer.training.interruption import StopRequest
    from colorizer.training.loop import TrainingLoop
    from colorizer.training.run_folder import RunFolder
    from colorizer.training.workers import Workers
    from pipelines.preparation import PreparedPhotos

PROG = "python -m colorizer.fit"
DESCRIPTION = """Train a colorization network on a folder of photos.

RUN-DIR gets model.keras (the best by validation), config.json, history.json, metrics.json,
photos.json (what was left out, and why), checkpoints, samples, learning_curve.png, tensorboard."""
EXAMPLES = """
# The report's CNN, on photos of one's own; a tenth is held out for validation.
python -m colorizer.fit --data photos/train --run-dir runs/first
# Go on where a run was stopped.
python -m colorizer.fit --run-dir runs/first --resume
# Go on from the weights that ship with the package, for an hour at most.
python -m colorizer.fit --model lite --lite.head classes --init-from shipped --max-minutes 60 \\
    --data photos/train --val-data photos/val --run-dir runs/mine
"""

# So much of the free disk Lab records may fill.
CACHE_SHARE_OF_FREE_DISK = 0.5
# Of so many photos the shares of the colours' classes are taken.
SHARES_FROM = 1000
# What tfds calls the photos to train on and to validate with.
_SPLITS = {"train": "train", "val": "validation"}


def main() -> None:
    """The entry point of the command."""
    run(_command)


def fit(config: FitConfig) -> Path:
    """Trains as `config` says; returns the run folder.

    Where TF_CONFIG speaks of several workers, this process is one of them.

    Raises:
        ColorizerError: no usable photos, a run folder that is taken, a loss that is not finite.
        NotWrittenError: the run folder cannot be written.
        UsageError: what several workers cannot do.
        WorkerLostError: another worker is gone.
    """
    from colorizer.training.interruption import StopRequest
    from colorizer.training.run_folder import RunFolder

    stop = StopRequest(config.max_minutes)
    # First of all that touches TensorFlow: the CPU can be parted only before it begins.
    workers = _workers(config)
    stop.ask_all = workers.any
    folder = RunFolder(config.run_dir, writes=workers.is_chief)
    with folder.held():
        folder.begin(config)
        try:
            _fit(config, folder, workers, stop)
        except Exception as error:
            if lost := workers.explained(error):
                # The Lab records stay, to go on with.
                raise lost from error
            folder.drop_cache()
            raise
        # A run that a signal stopped keeps its Lab records, to go on with.
        folder.drop_cache()
    return folder.path


def _fit(config: FitConfig, folder: "RunFolder", workers: "Workers", stop: "StopRequest") -> None:
    from pipelines.epochs import epoch_length

    train, val = _prepared(config, folder, workers)
    folder.write_photos(train, val)
    if folder.writes:
        folder.write_statistics(_statistics(config, train))
    length = epoch_length(train.weights)
    if workers.count > 1 and length < config.batch_size:
        raise ColorizerError(f"{config.data}: {length} photos are fewer than --batch-size")
    if config.resume and folder.checkpoint.exists():
        # The checkpoint holds all weights: what they once came from may be gone.
        config = config.without_start()
    training = _training(config, folder, workers, train, val, stop)
    if config.resume:
        training.resume()
    training.run()
    if folder.writes:
        _write_metrics(folder, val)
    # A worker that ends is missed by the others.
    workers.wait()


def _workers(config: FitConfig) -> "Workers":
    """Those that train together; this process alone where TF_CONFIG names no others."""
    from colorizer.training.building import build_strategy
    from colorizer.training.cluster import read_cluster

    cluster = read_cluster()
    if cluster is None:
        from colorizer.training.workers import Workers

        return Workers(build_strategy(config.devices))
    count = len(cluster.addresses)
    if config.batch_size % count:
        raise UsageError(f"--batch-size must be a multiple of the {count} workers in TF_CONFIG")
    for flag, alone in (
        ("--devices: each takes all GPUs that it sees", config.devices == 1),
        ("--accumulation", config.accumulation == 1),
        ("--xla on", config.xla != "on"),
    ):
        if not alone:
            raise UsageError(f"not with several workers (TF_CONFIG): {flag}")
    from colorizer.training.workers import join

    workers = join(cluster)
    replicas = workers.strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise UsageError(f"--batch-size must be a multiple of the {replicas} GPUs of all workers")
    return workers


def _training(
    config: FitConfig,
    folder: "RunFolder",
    workers: "Workers",
    train: "PreparedPhotos",
    val: "PreparedPhotos",
    stop: "StopRequest",
) -> "TrainingLoop":
    import keras
    import tensorflow as tf

    from colorizer.training.adversarial_task import AdversarialTask
    from colorizer.training.loop import TrainingLoop
    from colorizer.training.precision import dtype_policy
    from colorizer.training.supervised import SupervisedTask
    from colorizer.training.task import Task
    from pipelines.batches import steps_per_epoch

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    steps = steps_per_epoch(train, config.batch_size, config.epoch_steps)
    keras.utils.set_random_seed(config.seed)
    with workers.strategy.scope(), dtype_policy(config.precision):
        task: Task = (
            AdversarialTask(config, steps, val, folder)
            if config.is_adversarial
            else SupervisedTask(config, steps, val)
        )
    return TrainingLoop(config, folder, task, train, val, stop, workers)


def _statistics(config: FitConfig, train: "PreparedPhotos") -> dict[str, Any]:
    own = {"class_shares": _class_shares(train)} if config.predicts_classes else {}
    return {
        **own,
        "mean_ab": train.mean_ab,
        "image_size": config.image_size,
        "resize": config.resize,
        "train_images": len(train),
        "model": config.model,
    }


def _class_shares(train: "PreparedPhotos") -> list[float]:
    """How common each class of colours is, over some of the photos."""
    import numpy as np

    from colorizer.ab_classes import class_shares
    from pipelines.batches import evaluation_batches

    some = train.evenly_spaced(SHARES_FROM)
    batches = evaluation_batches(some, 16).as_numpy_iterator()
    # Every fourth place each way: neighbours have nearly the same colour.
    sums = [len(ab) * class_shares(ab[:, ::4, ::4]) for _, ab in batches]
    shares: list[float] = (np.sum(sums, axis=0) / len(some)).tolist()
    return shares


def _command() -> None:
    config = _parsed(sys.argv[1:])
    import_tensorflow()
    print(fit(config))


def _parsed(argv: Sequence[str]) -> FitConfig:
    """Parses the flags over the defaults of the preset, or of the run that is taken up again."""

    class Preset(BaseModel):
        preset: PresetName = "base"
        model: ModelName = "cnn"
        training: TrainingName = "supervised"
        resume: bool = False
        run_dir: Path | None = None

    wants_help = any(word in ("-h", "--help") for word in argv)
    known = [word for word in argv if word not in ("-h", "--help")]
    chosen, _ = tyro.cli(Preset, args=known, return_unknown_args=True, prog=PROG)
    default = preset_defaults(chosen.preset, chosen.model, chosen.training)
    if chosen.resume and chosen.run_dir is not None and not wants_help:
        stored = chosen.run_dir / "config.json"
        if stored.exists():
            default = load_config(stored).model_copy(
                update={"run_dir": chosen.run_dir, "max_minutes": None}
            )
    return parse(
        FitConfig,
        prog=PROG,
        description=DESCRIPTION,
        examples=EXAMPLES,
        argv=argv,
        default=default,
    )


def _prepared(
    config: FitConfig, folder: "RunFolder", workers: "Workers"
) -> tuple["PreparedPhotos", "PreparedPhotos"]:
    """Training and validation photos; what is left out is counted on stderr."""
    photos = _prepare(config, folder, workers, config.data, "train")
    val_data = _validation_data(config)
    if val_data is not None:
        return photos, _prepare(config, folder, workers, val_data, "val")
    train, val = photos.split(config.val_share, config.seed)
    note(f"held out for validation: {len(val)} photos")
    return train, val


def _validation_data(config: FitConfig) -> Path | None:
    """Where the validation photos are, or None where they are held out of the others."""
    from pipelines.dataset_names import is_dataset, parse_datasets
    from pipelines.stored_photos import has_split

    data = config.data
    if config.val_data is not None or not is_dataset(data):
        return config.val_data
    own = all(dataset.split is None for dataset in parse_datasets(data))
    return data if own and has_split(data, "validation") else None


def _prepare(
    config: FitConfig, folder: "RunFolder", workers: "Workers", photos: Path, name: str
) -> "PreparedPhotos":
    """Photos ready to learn from, the same for all workers.

    The chief alone makes Lab records. The others wait for it and find them: one copy, one writer.
    Without records there is nothing to share, and each worker makes its own pass.
    """
    from pipelines.preparation import prepare_photos

    records = _records(config, folder, photos, name) if workers.is_chief else None
    (kept,) = workers.any(records is not None)
    records = folder.cache / name if kept else None
    if kept and workers.count > 1:
        # Else those that wait would not find what they want, and make it anew over the chief's.
        workers.require_same(f"files in {photos}", _files(config, photos, name))
        if not workers.is_chief:
            workers.wait()
    try:
        prepared = prepare_photos(
            photos,
            split=_SPLITS[name],
            image_size=config.image_size,
            resize=config.resize,
            records=records,
            progress=workers.is_chief,
        )
    except NotWrittenError as error:
        raise ColorizerError(f"{error} (--cache none goes without these records)") from error
    if kept and workers.is_chief:
        workers.wait()
    workers.require_same(f"photos in {photos}", prepared.fingerprint)
    left_out = Counter(item.reason for item in prepared.rejected)
    reasons = "".join(f"; {count} left out: {why}" for why, count in left_out.most_common())
    note(f"{photos}: {len(prepared)} photos{reasons}")
    return prepared


def _files(config: FitConfig, photos: Path, name: str) -> str:
    """All by which Lab records are told to fit: paths, sizes and times."""
    from pipelines.photo_files import PhotoFile
    from pipelines.preparation import find_photos

    found = find_photos(photos, _SPLITS[name], config.resize)
    return "\n".join(str(item.state) for item in found if isinstance(item, PhotoFile))


def _records(config: FitConfig, folder: "RunFolder", photos: Path, name: str) -> Path | None:
    """Where the Lab records go, or None where none are wanted or they would not fit."""
    if config.cache == "none":
        return None
    if config.cache == "auto":
        from pipelines.dataset_names import is_dataset
        from pipelines.lab_records import record_bytes
        from pipelines.photo_files import find_jpegs
        from pipelines.stored_photos import count_stored

        stored = is_dataset(photos)
        count = count_stored(photos, _SPLITS[name]) if stored else len(find_jpegs(photos))
        wanted = count * record_bytes(config.image_size)
        kept = sum(file.stat().st_size for file in (folder.cache / name).glob("*"))
        free = shutil.disk_usage(folder.path).free + kept
        if wanted > CACHE_SHARE_OF_FREE_DISK * free:
            note(
                f"{photos}: Lab records would take {wanted / 1e9:.1f} GB of {free / 1e9:.1f} GB"
                " free: photos are decoded anew each epoch"
            )
            return None
    return folder.cache / name


def _write_metrics(folder: "RunFolder", val: "PreparedPhotos") -> None:
    """Measures the model that the run keeps on its validation photos."""
    from colorizer import load
    from colorizer.evaluation.evaluation import evaluate
    from colorizer.evaluation.results import Setting, results_json
    from colorizer.files import write_json

    colorizer = load(folder.path)
    evaluation = evaluate(colorizer.predict_ab, val, mean_ab=colorizer.mean_ab)
    setting = Setting(folder.path, val.root, val.image_size, val.resize, val.rejected)
    write_json(folder.path / "metrics.json", results_json(evaluation, setting))


if __name__ == "__main__":
    main()
