"""Images a second of the input pipeline beside OpenCV, Pillow + scikit-image and PyTorch.

All of them turn JPEG files into float32 lightness and ab of 256x256 in [-1, 1]. Each measurement
runs in a fresh process that may use so many cores and no more; systems alternate, and the figures
are medians over the repeats. Files lie in the page cache. Imports and worker start-up are not
counted; graph tracing and XLA compilation are, so that few images speak against our pipeline.

    ours     TensorFlow. First pass: every photo decoded, checked for gray, written as a Lab record.
             First epoch: that pass and an epoch of shuffled batches after it. Cached epoch: batches
             from the records. Uncached epoch: batches decoded anew, no records kept.
    opencv   a thread for each core: imread, resize (bilinear, not antialiased), float32 Lab.
    skimage  a process for each core: Pillow's decoder and antialiased bilinear resize, rgb2lab
             of the 8-bit picture as scikit-image documents it (it computes in float64), and, as
             skimage32, of a float32 copy. Results go to shared memory; the time to hand batches
             over is not counted.
    torch    a DataLoader with a worker for each core: Pillow as above, random flips, Lab in
             float32; its batches are handed over, and it has two epochs, of which the second is
             timed. Left out, with a note, where PyTorch is not installed.

The second table tells how long a training step of the CNN (preset base) waits for its batch.

Example: python benchmarks/input_pipeline.py --data photos/train --limit 1000 --json pipeline.json
"""

import mmap
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from machine import describe_machine
from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.files import write_json
from pipelines.errors import NoPhotosError, UsageError

CHANNELS = 3
SLOTS = 64
SKIPPED_STEPS = 3
PACKAGES = ("tensorflow", "keras", "opencv-python-headless", "scikit-image", "pillow", "numpy")
NAMES = {
    "first_pass": "ours, first pass (JPEG to records)",
    "first_epoch": "ours, first epoch (first pass + epoch)",
    "cached_epoch": "ours, cached epoch",
    "uncached_epoch": "ours, uncached epoch",
    "skimage": "Pillow + scikit-image",
    "skimage32": "Pillow + scikit-image in float32",
    "torch": "PyTorch DataLoader (Pillow, Lab in float32)",
    "opencv": "OpenCV",
}


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data: Path
    """Folder of photos: any tree of .jpg and .jpeg files."""
    limit: int = Field(300, ge=1)
    """At most so many photos, evenly spaced over the sorted list."""
    cores: tuple[int, ...] = (1, 2)
    """Numbers of cores to measure with."""
    repeats: int = Field(3, ge=1)
    """How often each measurement is made."""
    image_size: int = Field(256, ge=32)
    """Side of the square pictures."""
    batch_size: int = Field(16, ge=1)
    """Photos in a batch."""
    steps: int = Field(12, ge=0)
    """Training steps to time for the waiting share; 0 leaves that table out."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None
    """Write all measurements to this file."""


class Task(BaseModel):
    """One measurement, as it is sent to its process."""

    folder: Path
    image_size: int
    batch_size: int
    steps: int
    cores: int


def measure_ours(task: Task) -> dict[str, float]:
    """Images a second of our pipeline in its four ways."""
    import_tensorflow()
    from pipelines.batches import training_batches
    from pipelines.preparation import PreparedPhotos, prepare_photos

    files = len(list(task.folder.iterdir()))

    def epoch(prepared: PreparedPhotos, number: int) -> tuple[int, float]:
        started = time.perf_counter()
        batches = training_batches(prepared, task.batch_size, seed=0, epoch=number)
        images = sum(int(lightness.shape[0]) for lightness, _ in batches)
        return images, time.perf_counter() - started

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        prepared = prepare_photos(
            task.folder, image_size=task.image_size, records=Path(scratch) / "records"
        )
        first_pass = time.perf_counter() - started
        images, first_epoch = epoch(prepared, 0)
        _, cached = epoch(prepared, 1)
    uncached = prepare_photos(task.folder, image_size=task.image_size)
    _, decoded = epoch(uncached, 0)
    return {
        "first_pass": files / first_pass,
        "first_epoch": images / (first_pass + first_epoch),
        "cached_epoch": images / cached,
        "uncached_epoch": images / decoded,
    }


def measure_opencv(task: Task) -> dict[str, float]:
    """Images a second of OpenCV, one thread a core."""
    import cv2

    cv2.setNumThreads(1)
    ready = np.empty((SLOTS, task.image_size, task.image_size, CHANNELS), np.float32)

    def load(index: int, file: Path) -> None:
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            raise RuntimeError(f"{file.name}: OpenCV cannot read it")
        picture = cv2.resize(picture, (task.image_size, task.image_size))
        lab = cv2.cvtColor(picture.astype(np.float32) / 255.0, cv2.COLOR_BGR2Lab)
        _store(ready, index, lab)

    files = sorted(task.folder.iterdir())
    with ThreadPoolExecutor(task.cores) as pool:
        rate = _rate(files, lambda: list(pool.map(load, range(len(files)), files)))
    return {"opencv": rate}


def measure_skimage(task: Task) -> dict[str, float]:
    """Images a second of Pillow and scikit-image, one process a core."""
    size = SLOTS * task.image_size**2 * CHANNELS * np.dtype(np.float32).itemsize
    memory = mmap.mmap(-1, size)
    ready = np.frombuffer(memory, np.float32).reshape(
        SLOTS, task.image_size, task.image_size, CHANNELS
    )
    files = sorted(task.folder.iterdir())
    # Forked, so that the workers share the memory and have scikit-image imported.
    with multiprocessing.get_context("fork").Pool(
        task.cores, initializer=_start_skimage_worker, initargs=(ready,)
    ) as pool:
        pool.map(abs, range(task.cores))
        rates = {}
        for name, load in (("skimage", _load_skimage), ("skimage32", _load_skimage32)):
            jobs = partial(pool.starmap, load, list(enumerate(files)), chunksize=8)
            rates[name] = _rate(files, jobs)
    return rates


def measure_torch(task: Task) -> dict[str, float]:
    """Images a second of PyTorch's DataLoader, one worker a core."""
    from torch_input import images_per_second

    files = sorted(task.folder.iterdir())
    rate = images_per_second(files, task.image_size, task.batch_size, task.cores)
    return {"torch": rate}


def measure_waiting(task: Task) -> dict[str, float]:
    """Share of a training step of the CNN that waits for its batch, and the step's seconds."""
    import_tensorflow()
    from colorizer import losses, models
    from colorizer.config import PRESETS, FitConfig
    from colorizer.training.optimizer import build_optimizer
    from colorizer.training.precision import dtype_policy
    from pipelines.batches import training_batches
    from pipelines.preparation import prepare_photos

    config = FitConfig(data=task.folder, run_dir=task.folder / "run", **PRESETS["base"])
    config = config.model_copy(update={"image_size": task.image_size})
    with dtype_policy(config.precision):
        model = models.build(config.model, **config.network_arguments())
        optimizer = build_optimizer(
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            total_steps=1000,
            weight_decay=config.weight_decay,
        )
        model.compile(optimizer=optimizer, loss=losses.by_name(config.loss), jit_compile=False)
    waiting: list[float] = []
    steps: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare_photos(
            task.folder, image_size=task.image_size, records=Path(scratch) / "records"
        )
        epoch = 0
        while len(steps) < SKIPPED_STEPS + task.steps:
            batches = iter(training_batches(prepared, task.batch_size, seed=0, epoch=epoch))
            epoch += 1
            while len(steps) < SKIPPED_STEPS + task.steps:
                started = time.perf_counter()
                batch = next(batches, None)
                if batch is None:
                    break
                waiting.append(time.perf_counter() - started)
                model.train_on_batch(*batch)
                steps.append(time.perf_counter() - started)
    total = sum(steps[SKIPPED_STEPS:])
    return {
        "waiting_share": sum(waiting[SKIPPED_STEPS:]) / total,
        "step_seconds": total / task.steps,
    }


def _command() -> None:
    arguments = parse(
        Arguments, prog="python benchmarks/input_pipeline.py", description=__doc__ or ""
    )
    available = len(os.sched_getaffinity(0))
    if not arguments.cores or not all(1 <= cores <= available for cores in arguments.cores):
        raise UsageError(f"--cores: from 1 to {available} on this machine")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        images = _copy_photos(arguments.data, folder, arguments.limit)
        runs = _measure_all(arguments, folder)
    medians = {
        cores: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for cores, rows in runs.items()
    }
    print(f"{describe_machine()}: {images} photos, medians of {arguments.repeats} repeats.\n")
    print(_rates_table(runs))
    if arguments.steps:
        print(f"\n{_waiting_table(medians)}")
    if arguments.json_file is not None:
        content = {
            "machine": describe_machine(),
            "versions": {name: version(name) for name in _packages()},
            "images": images,
            "image_size": arguments.image_size,
            "batch_size": arguments.batch_size,
            "medians": medians,
            "runs": runs,
        }
        write_json(arguments.json_file, content)


def _packages() -> tuple[str, ...]:
    return PACKAGES if find_spec("torch") is None else (*PACKAGES, "torch")


def _measure_all(arguments: Arguments, folder: Path) -> dict[int, list[dict[str, float]]]:
    """One row of figures for each number of cores and repeat; the order turns round each time."""
    measures = [measure_ours, measure_opencv, measure_skimage]
    if find_spec("torch") is None:
        note("PyTorch is not installed (pip install torch): its DataLoader is left out")
    else:
        measures.append(measure_torch)
    if arguments.steps:
        measures.append(measure_waiting)
    runs: dict[int, list[dict[str, float]]] = {cores: [] for cores in arguments.cores}
    for repeat in range(arguments.repeats):
        for cores in arguments.cores:
            task = Task(
                folder=folder,
                image_size=arguments.image_size,
                batch_size=arguments.batch_size,
                steps=arguments.steps,
                cores=cores,
            )
            row: dict[str, float] = {}
            for measure in measures if repeat % 2 == 0 else reversed(measures):
                note(f"repeat {repeat + 1}, {cores} core(s): {measure.__name__}")
                row |= _in_fresh_process(measure, task)
            runs[cores].append(row)
    return runs


def _in_fresh_process(measure: Callable[[Task], dict[str, float]], task: Task) -> dict[str, float]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _restrict, (task.cores,)) as pool:
        return pool.submit(measure, task).result()


def _restrict(cores: int) -> None:
    """Confines this process, and the threads that it will start, to so many cores."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def _copy_photos(data: Path, folder: Path, limit: int) -> int:
    """Copies evenly spaced photos to one flat folder, which also brings them to the page cache."""
    from pipelines.photo_files import find_jpegs

    found = find_jpegs(data) if data.is_dir() else []
    if not found:
        raise NoPhotosError(f"{data}: holds no .jpg or .jpeg file")
    number = min(limit, len(found))
    for index in range(number):
        shutil.copyfile(found[index * len(found) // number], folder / f"{index:06d}.jpg")
    return number


def _rate(files: Sequence[Path], load_all: Callable[[], Any]) -> float:
    started = time.perf_counter()
    load_all()
    return len(files) / (time.perf_counter() - started)


def _store(ready: np.ndarray, index: int, lab: np.ndarray) -> None:
    """Scales CIE Lab to lightness and ab in [-1, 1], into a slot of the finished pictures."""
    slot = ready[index % SLOTS]
    np.subtract(lab[..., :1] / 50.0, 1.0, out=slot[..., :1])
    np.divide(lab[..., 1:], 128.0, out=slot[..., 1:])


_ready: np.ndarray


def _start_skimage_worker(ready: np.ndarray) -> None:
    global _ready
    import skimage.color  # noqa: F401  (here, not while the clock runs)

    _ready = ready


def _load_skimage(index: int, file: Path) -> None:
    from skimage.color import rgb2lab

    _store(_ready, index, rgb2lab(_pillow_square(file)))


def _load_skimage32(index: int, file: Path) -> None:
    from skimage.color import rgb2lab

    _store(_ready, index, rgb2lab(_pillow_square(file).astype(np.float32) / 255.0))


def _pillow_square(file: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    size = _ready.shape[1]
    with Image.open(file) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def _rates_table(runs: dict[int, list[dict[str, float]]]) -> str:
    """Median images/s, and medians of the ratios to the two others within each repeat."""
    head, rule = "| images/s |", "| --- |"
    for cores in runs:
        head += f" {cores} core{'s' * (cores > 1)} | / scikit-image | / OpenCV |"
        rule += " ---: | ---: | ---: |"
    lines = [head, rule]
    measured = next(iter(runs.values()))[0]
    for key, name in NAMES.items():
        if key not in measured:
            continue
        line = f"| {name} |"
        for rows in runs.values():
            line += f" {statistics.median(row[key] for row in rows):.0f} |"
            for other in ("skimage", "opencv"):
                line += f" {statistics.median(row[key] / row[other] for row in rows):.2f} |"
        lines.append(line)
    return "\n".join(lines)


def _waiting_table(medians: dict[int, dict[str, float]]) -> str:
    lines = ["| cores | training step | of it waiting for input |", "| ---: | ---: | ---: |"]
    for cores, row in medians.items():
        milliseconds, share = 1000 * row["step_seconds"], 100 * row["waiting_share"]
        lines.append(f"| {cores} | {milliseconds:.0f} ms | {share:.1f}% |")
    return "\n".join(lines)


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
