"""Measures a trained model on photos: `python -m colorizer.evaluate --model RUN --data DIR`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import BaseModel, ConfigDict, PositiveInt

from colorizer.command import import_tensorflow, note, parse, run
from pipelines.errors import ColorizerError, UsageError

if TYPE_CHECKING:
    from colorizer.evaluation.evaluation import Evaluation
    from colorizer.inference import Colorizer
    from pipelines.decoding import Resize
    from pipelines.preparation import PreparedPhotos

_DESCRIPTION = """Measures a model on photos beside gray and the training set's mean colour.

Prints PSNR, CIE76, CIEDE2000, SSIM and colourfulness as means per image with bootstrap intervals,
and the report's bands. Photos whose originals are gray are left out and counted."""

_SKIPPED_NAMED = 10


class EvaluateArguments(BaseModel):
    """The arguments of `python -m colorizer.evaluate`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of .jpg and .jpeg photos, searched with its sub-folders."""
    model: Path | None = None
    """Run folder or exported model. Must be given: no weights ship with the package yet."""
    style: Literal["faithful", "vivid"] | None = None
    """Which way of colouring, for models that know both."""
    limit: PositiveInt | None = None
    """Look at so many files at most, evenly spaced over the folder."""
    batch_size: PositiveInt = 16
    """Photos at a time; does not change the result."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None
    """Write all results, those of each photo too, as JSON."""
    markdown: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the tables as Markdown."""
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Write a contact sheet of gray | predicted | true."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def _command() -> None:
    arguments = parse(
        EvaluateArguments, prog="python -m colorizer.evaluate", description=_DESCRIPTION
    )
    _check(arguments)
    import_tensorflow()
    from colorizer import load
    from pipelines.preparation import prepare_photos

    colorizer = load(arguments.model)
    colorizer.check_style(arguments.style)
    prepared = prepare_photos(
        arguments.data,
        image_size=colorizer.image_size,
        resize=_resize(colorizer),
        limit=arguments.limit,
        progress=True,
    )
    _note_skipped(prepared)
    evaluation = _evaluate(colorizer, prepared, arguments.batch_size)
    _hand_out(evaluation, prepared, colorizer, arguments)


def _check(arguments: EvaluateArguments) -> None:
    """Refuses before anything is loaded what could only fail after all the work."""
    if arguments.sheet is not None and arguments.sheet.suffix.lower() != ".png":
        raise UsageError(f"--sheet {arguments.sheet}: the contact sheet is a .png file")
    flags = {
        "--json": arguments.json_file,
        "--markdown": arguments.markdown,
        "--sheet": arguments.sheet,
    }
    for flag, path in flags.items():
        if path is not None and path.is_dir():
            raise UsageError(f"{flag} {path}: is a folder, expected a file")


def _resize(colorizer: "Colorizer") -> "Resize":
    """The way of making photos square that the model was trained with."""
    resize = colorizer.statistics.get("resize")
    if resize not in ("squash", "crop"):
        raise ColorizerError(
            f'{colorizer.path}: its statistics must give "resize" as squash or crop, not {resize}'
        )
    return resize


def _note_skipped(prepared: "PreparedPhotos") -> None:
    for item in prepared.rejected[:_SKIPPED_NAMED]:
        note(f"skipped {item.path}: {item.reason}")
    if len(prepared.rejected) > _SKIPPED_NAMED:
        note(f"skipped {len(prepared.rejected) - _SKIPPED_NAMED} more, all listed by --json")


def _evaluate(colorizer: "Colorizer", prepared: "PreparedPhotos", batch_size: int) -> "Evaluation":
    from tqdm import tqdm

    from colorizer.evaluation.evaluation import evaluate

    with tqdm(total=len(prepared), desc="evaluating", unit="photo", file=sys.stderr) as bar:
        return evaluate(
            colorizer.predict_ab,
            prepared,
            batch_size,
            mean_ab=colorizer.mean_ab,
            progress=bar.update,
        )


def _hand_out(
    evaluation: "Evaluation",
    prepared: "PreparedPhotos",
    colorizer: "Colorizer",
    arguments: EvaluateArguments,
) -> None:
    from colorizer.evaluation.contact_sheet import write_contact_sheet
    from colorizer.evaluation.results import Setting, results_json, results_markdown
    from colorizer.files import write_json, write_text

    setting = Setting(
        model=colorizer.path or "the shipped weights",
        data=arguments.data,
        image_size=prepared.image_size,
        resize=prepared.resize,
        skipped=prepared.rejected,
    )
    tables = results_markdown(evaluation, setting)
    print(tables, end="", flush=True)
    if arguments.json_file is not None:
        write_json(arguments.json_file, results_json(evaluation, setting))
    if arguments.markdown is not None:
        write_text(arguments.markdown, tables)
    if arguments.sheet is not None:
        write_contact_sheet(arguments.sheet, evaluation, setting)


if __name__ == "__main__":
    main()
