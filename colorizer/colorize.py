"""Colours photos: files, folders and globs of any size, with a trained model."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import FlagCreatePairsOff, Positional, arg

from colorizer.command import import_tensorflow, parse, run

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
        examples=EXAMPLES,
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
    from colorizer.colorizing.pipeline import colorize_jobs
    from colorizer.inference import load

    failed = colorize_jobs(
        load(arguments.model).styled(arguments.style),
        work.waiting,
        work.errors,
        saturation=arguments.saturation,
        batch_size=arguments.batch_size,
    )
    print(
        f"{len(work.waiting) - failed} done, {work.skipped} skipped, "
        f"{failed + len(work.errors)} failed, {work.passed_over} passed over: {output}"
    )
    return 1 if failed or work.errors else 0


if __name__ == "__main__":
    main()
