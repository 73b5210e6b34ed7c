"""Colours photos and films: files, folders and globs of any size, with a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import FlagCreatePairsOff, Positional, arg

from colorizer.command import import_tensorflow, parse, run
from pipelines.errors import UsageError

if TYPE_CHECKING:
    from colorizer.guidance.palette import Palette

EXAMPLES = """
# A whole album, with its sub-folders; colours/ gets a PNG for each photo.
python -m colorizer.colorize old_album/ --output colours
# Bolder colours, as JPEG, and only what is not there yet.
python -m colorizer.colorize old_album/ scan.tif --output vivid --style vivid --format jpg \\
    --skip-existing
# With a network of one's own, colours a little stronger.
python -m colorizer.colorize 'scans/*.png' --output in_colour --model runs/first --saturation 1.2
"""


class Arguments(BaseModel):
    """What `python -m colorizer.colorize` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[Positional[tuple[str, ...]], arg(metavar="INPUT..."), Field(min_length=1)]
    """Photos and films: files, folders (searched with their sub-folders) and globs."""
    output: Annotated[Path, arg(metavar="DIR")]
    """Folder for the coloured photos; made if missing. Inputs are never overwritten."""
    model: Annotated[Path | None, arg(metavar="RUN_OR_EXPORT")] = None
    """A run folder or an export. Left out: the weights that ship with the package."""
    style: Literal["faithful", "vivid"] | None = None
    """faithful (the likeliest mean colour) or vivid, for models that know both."""
    saturation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Factor on the colours: 0 is gray, 1 is what the model says."""
    hints: Annotated[Path | None, arg(metavar="HINTS.json")] = None
    """Points of known colour: {"lake.jpg": [{"x": 120, "y": 80, "colour": "#2f6db5"}]}; x and y in
    pixels of the upright photo or as shares ("50%"), photos named as below their folder."""
    palette: Annotated[Path | None, arg(metavar="PHOTO")] = None
    """A colour photo whose colours are to be preferred."""
    seed: Annotated[int | None, Field(ge=0)] = None
    """Other colours, about as likely, for models that sample: the one that ships, runs of dcgan,
    and of lite with classes."""
    variants: Annotated[int | None, Field(ge=1, le=1000)] = None
    """So many colourings of each photo, lake.1.png, lake.2.png, ...: those of --seed S (left out:
    0), S + 1, ..."""
    format: Literal["png", "jpg"] = "png"
    """What to write for photos; jpg has quality 95 and full colour resolution."""
    skip_existing: FlagCreatePairsOff[bool] = False
    """Leave what is there already alone: goes on where it stopped, in the midst of a film too."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Photos, or frames of a film, that go through the network at once."""


def main() -> None:
    """Runs the command."""
    run(_command)


def _command() -> int:
    arguments = parse(
        Arguments,
        prog="python -m colorizer.colorize",
        description="Colours photos and films of any size. Bad ones are reported and skipped.",
        examples=EXAMPLES,
    )
    return colorize_files(arguments)


def colorize_files(arguments: Arguments) -> int:
    """Colours all photos and films that `arguments` name; prints a summary on stdout.

    Returns:
        The exit code: 0, or 1 if any photo failed.

    Raises:
        NoPhotosError: the inputs hold no photo at all.
        ColorizerError: the model, the hints or the palette cannot be used, the output is not a
            folder, or there is a film and the extra `video` is not installed.
        UsageError: a style or a sample is asked for that the model does not know, hints for a
            photo that is not among the inputs, or hints or samples for films.
    """
    # Late, here and below: none of it may slow down --help.
    from colorizer.colorizing.planning import plan
    from colorizer.films.formats import require_extra
    from colorizer.guidance.hints import HintsFile

    output = arguments.output
    work = plan(
        arguments.inputs,
        output,
        f".{arguments.format}",
        skip_existing=arguments.skip_existing,
        variants=arguments.variants,
        films=True,
    )
    hints = None if arguments.hints is None else HintsFile(arguments.hints)
    if hints is not None:
        hints.check_names(work.sources)
    if work.films:
        require_extra()
        _refuse_for_films(arguments)

    import_tensorflow()
    from colorizer.colorizing.pipeline import colorize_jobs
    from colorizer.inference import load, load_for_films

    seed = arguments.seed
    if seed is None and arguments.variants is not None:
        seed = 0
    palette = None if arguments.palette is None else _palette(arguments.palette)
    model = load(arguments.model).guided(style=arguments.style, palette=palette)
    # Now, and not once for each photo.
    model.guided(seed=seed)
    failed = 0
    if work.waiting or work.errors or not work.films:
        failed += colorize_jobs(
            model,
            work.waiting,
            work.errors,
            saturation=arguments.saturation,
            hints=hints,
            seed=seed,
            batch_size=arguments.batch_size,
        )
    if work.films:
        from colorizer.films.pipeline import colorize_films

        film_model = model
        if arguments.model is None:
            film_model = load_for_films().guided(style=arguments.style, palette=palette)
        failed += colorize_films(
            film_model,
            work.films,
            saturation=arguments.saturation,
            batch_size=arguments.batch_size,
            resume=arguments.skip_existing,
        )
    print(
        f"{len(work.waiting) + len(work.films) - failed} done, {work.skipped} skipped, "
        f"{failed + len(work.errors)} failed, {work.passed_over} passed over: {output}"
    )
    return 1 if failed or work.errors else 0


def _refuse_for_films(arguments: Arguments) -> None:
    for flag in ("hints", "seed", "variants"):
        if getattr(arguments, flag) is not None:
            raise UsageError(f"--{flag}: photos take it, films do not: colour them apart")


def _palette(path: Path) -> "Palette":
    import numpy as np

    from colorizer.guidance.palette import Palette
    from colorizer.images.reading import read_photo

    return Palette.of(np.asarray(read_photo(path).image), f"--palette {path}")


if __name__ == "__main__":
    main()
