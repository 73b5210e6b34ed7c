"""Colours photos: files, folders and globs of any size, with a trained model.

python -m colorizer.colorize old.jpg album/ --output in_colour --model runs/first
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import FlagCreatePairsOff, Positional, arg

from colorizer.command import import_tensorflow, parse, run
from pipelines.errors import ColorizerError, PhotoError

if TYPE_CHECKING:
    from tqdm import tqdm

    from colorizer.colorizing.outputs import Job
    from colorizer.images.reading import Photo
    from colorizer.inference import Colorizer

# Decoded photos wait for their batch in memory: no more than this together, or one alone.
BATCH_PIXELS = 48_000_000


class Arguments(BaseModel):
    """What `python -m colorizer.colorize` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[Positional[tuple[str, ...]], arg(metavar="INPUT..."), Field(min_length=1)]
    """Photos: files, folders (searched with their sub-folders) and globs."""
    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the coloured photos; made if missing. Inputs are never overwritten."""
    model: Annotated[Path | None, arg(metavar="RUN_OR_EXPORT")] = None
    """A run folder or an export. Left out: the weights that ship with the package."""
    style: Literal["faithful", "vivid"] | None = None
    """faithful (the likeliest mean colour) or vivid, for models that know both."""
    saturation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Factor on the colours: 0 is gray, 1 is what the model says."""
    format: Literal["png", "jpg"] = "png"
    """What to write; jpg has quality 95 and full colour resolution."""
    skip_existing: FlagCreatePairsOff[bool] = False
    """Leave photos alone whose result is there already: goes on where it stopped."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Photos that go through the network at once."""


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> int:
    arguments = parse(
        Arguments,
        prog="python -m colorizer.colorize",
        description="Colours photos of any size. Bad ones are reported and skipped.",
    )
    return colorize_files(arguments)


def colorize_files(arguments: Arguments) -> int:
    """Colours all photos that `arguments` name; prints a summary on stdout.

    Returns:
        The exit code: 0, or 1 if any photo failed.

    Raises:
        NoPhotosError: the inputs hold no photo at all.
        ColorizerError: the model cannot be loaded, or the output is not a folder.
        UsageError: a style is asked for that the model does not know.
    """
    # Late, here and below: none of it may slow down --help.
    from colorizer.colorizing.planning import plan

    output = arguments.output
    work = plan(
        arguments.inputs,
        output,
        f".{arguments.format}",
        skip_existing=arguments.skip_existing,
    )

    import_tensorflow()
    from colorizer.inference import load

    colorizer = load(arguments.model).styled(arguments.style)
    failed = _colorize_all(colorizer, work.waiting, work.errors, arguments)
    print(
        f"{len(work.waiting) - failed} done, {work.skipped} skipped, "
        f"{failed + len(work.errors)} failed, {work.passed_over} passed over: {output}"
    )
    return 1 if failed or work.errors else 0


@dataclass
class _Progress:
    """A bar of photos on stderr, and lines that do not run into it."""

    bar: "tqdm"
    failed: int = 0

    def fail(self, error: ColorizerError) -> None:
        self.failed += 1
        self.say(f"error: {_one_line(error)}")
        self.bar.update()

    def say(self, line: str) -> None:
        self.bar.write(line, file=sys.stderr)


def _colorize_all(
    colorizer: "Colorizer",
    jobs: Sequence["Job"],
    errors: Sequence[PhotoError],
    arguments: Arguments,
) -> int:
    """Does the jobs; returns how many failed. `errors` are those known before, to be said."""
    from tqdm import tqdm

    # A log needs no ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(jobs), unit="photo", file=sys.stderr, mininterval=interval) as bar:
        progress = _Progress(bar)
        for error in errors:
            progress.say(f"error: {_one_line(error)}")
        for batch in _batches(jobs, arguments.batch_size, progress):
            _colorize_batch(colorizer, batch, arguments.saturation, progress)
    return progress.failed


def _batches(
    jobs: Sequence["Job"], batch_size: int, progress: _Progress
) -> Iterator[list[tuple["Job", "Photo"]]]:
    """Reads photos and gives them out in batches bounded in number and in pixels."""
    from colorizer.images.reading import read_photo

    batch: list[tuple[Job, Photo]] = []
    pixels = 0
    for job in jobs:
        try:
            photo = read_photo(job.source.path)
        except PhotoError as error:
            progress.fail(error)
            continue
        for line in photo.notes:
            progress.say(f"note: {photo.path}: {line}")
        size = photo.image.width * photo.image.height
        if batch and (len(batch) == batch_size or pixels + size > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append((job, photo))
        pixels += size
    if batch:
        yield batch


def _colorize_batch(
    colorizer: "Colorizer",
    batch: Sequence[tuple["Job", "Photo"]],
    saturation: float,
    progress: _Progress,
) -> None:
    import numpy as np
    from PIL import Image

    from colorizer.images.writing import write_photo

    try:
        ab = colorizer.predict_photos([np.asarray(photo.image) for _, photo in batch])
    except ColorizerError as error:
        for _, photo in batch:
            progress.fail(PhotoError(photo.path, str(error)))
        return
    for (job, photo), photo_ab in zip(batch, ab, strict=True):
        try:
            painted = colorizer.paint(np.asarray(photo.image), photo_ab, saturation=saturation)
            write_photo(
                Image.fromarray(painted),
                job.target,
                exif=photo.exif,
                resolution=photo.resolution,
            )
        except PhotoError as error:
            progress.fail(error)
        except ColorizerError as error:
            progress.fail(PhotoError(photo.path, str(error)))
        else:
            progress.bar.update()


def _one_line(error: ColorizerError) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    main()
