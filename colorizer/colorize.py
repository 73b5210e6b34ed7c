"""Colours photos and films: files, folders and globs of any size, with a trained model.

python -m colorizer.colorize old.jpg album/ --output in_colour --model runs/first
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import FlagCreatePairsOff, Positional, arg

from colorizer.command import import_tensorflow, parse, run


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
    )
    return colorize_files(arguments)


def colorize_files(arguments: Arguments) -> int:
    """Colours all photos and films that `arguments` name; prints a summary on stdout.

    Returns:
        The exit code: 0, or 1 if any photo failed.

    Raises:
        NoPhotosError: the inputs hold no photo at all.
        ColorizerError: the model cannot be loaded, the output is not a folder, or there is a film
            and the extra `video` is not installed.
        UsageError: a style is asked for that the model does not know.
    """
    # Late, here and below: none of it may slow down --help.
    from colorizer.colorizing.planning import plan
    from colorizer.films.formats import require_extra

    output = arguments.output
    work = plan(
        arguments.inputs,
        output,
        f".{arguments.format}",
        skip_existing=arguments.skip_existing,
        films=True,
    )
    if work.films:
        require_extra()

    import_tensorflow()
    from colorizer.colorizing.pipeline import colorize_jobs
    from colorizer.inference import load

    colorizer = load(arguments.model).styled(arguments.style)
    failed = 0
    if work.waiting or work.errors or not work.films:
        failed += colorize_jobs(
            colorizer,
            work.waiting,
            work.errors,
            saturation=arguments.saturation,
            batch_size=arguments.batch_size,
        )
    if work.films:
        from colorizer.films.pipeline import colorize_films

        failed += colorize_films(
            colorizer,
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


if __name__ == "__main__":
    main()
