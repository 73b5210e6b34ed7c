"""Measures a trained model on photos: `python -m colorizer.evaluate --model RUN --data DIR`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import tyro
from pydantic import BaseModel, ConfigDict, PositiveInt

from colorizer.command import import_tensorflow, note, parse, run
from pipelines.errors import ColorizerError, UsageError

if TYPE_CHECKING:
    from colorizer.evaluation.evaluation import Evaluation
    from colorizer.inference import Colorizer
    from colorizer.metrics.fid import InceptionFeatures
    from colorizer.pretrained.image_features import ImageFeatures
    from pipelines.decoding import Resize
    from pipelines.preparation import PreparedPhotos

_DESCRIPTION = """Measures a model on photos beside gray, a mean colour, and other models.

Prints PSNR, CIE76, CIEDE2000, SSIM and colourfulness as means per image, KID over features of
EfficientNet-Lite1, all with bootstrap intervals, the paired differences, and the report's bands.
Photos whose originals are gray are left out and counted."""
EXAMPLES = """
# The network that ships, on photos of one's own.
python -m colorizer.evaluate --data photos/test
# A run, with the figures as JSON and the pictures side by side.
python -m colorizer.evaluate --model runs/first --data photos/test --json scores.json \\
    --sheet sheet.png
# Two runs on the same photos; the differences are paired.
python -m colorizer.evaluate --model runs/second --against runs/first --data photos/test
"""

_SKIPPED_NAMED = 10

# What the tables call their own rows.
_ROWS = ("model", "gray", "mean_ab", "truth")


class EvaluateArguments(BaseModel):
    """The arguments of `python -m colorizer.evaluate`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of .jpg and .jpeg photos, searched with its sub-folders; or a dataset, tfds:NAME (its
    test split) or tfds:NAME:SPLIT."""
    model: Path | None = None
    """Run folder or exported model. Left out: the weights that ship with the package."""
    against: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN_OR_EXPORT [...]")] = ()
    """Other models to measure on the same photos; the first is compared with each, paired."""
    style: Literal["faithful", "vivid"] | None = None
    """Which way of colouring, for models that know both."""
    limit: PositiveInt | None = None
    """Look at so many files at most, evenly spaced over the folder."""
    batch_size: PositiveInt = 16
    """Photos at a time; does not change the result."""
    kid: bool = True
    """Measure KID, which takes about as long as all the rest."""
    fid: bool = False
    """Measure FID too, over Keras's InceptionV3, whose weights must lie in Keras's cache."""
    fid_weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE.h5")] = None
    """Measure FID with InceptionV3's weights (without top) from here."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None
    """Write all results, those of each photo too, as JSON."""
    markdown: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the tables as Markdown."""
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Write a contact sheet of gray | predicted | other models | true."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def _command() -> None:
    arguments = parse(
        EvaluateArguments,
        prog="python -m colorizer.evaluate",
        description=_DESCRIPTION,
        examples=EXAMPLES,
    )
    _check(arguments)
    import_tensorflow()
    from colorizer import load
    from pipelines.preparation import prepare_photos

    colorizer = load(arguments.model).styled(arguments.style)
    against = _against(colorizer, arguments)
    judges = _judges(arguments)
    prepared = prepare_photos(
        arguments.data,
        split="test",
        image_size=colorizer.image_size,
        resize=_resize(colorizer),
        limit=arguments.limit,
        progress=True,
    )
    _note_skipped(prepared)
    judges = _checked_judges(judges, prepared)
    evaluation = _evaluate(colorizer, against, prepared, judges, arguments.batch_size)
    _hand_out(evaluation, prepared, colorizer, judges, arguments)


class _Judges(NamedTuple):
    """The networks whose features KID and FID are measured over; None where that is not asked."""

    kid: "ImageFeatures | None"
    fid: "InceptionFeatures | None"


def _judges(arguments: EvaluateArguments) -> _Judges:
    """Loads the judges, before the work whose end they would spoil if they were missing."""
    from colorizer.metrics.fid import InceptionFeatures
    from colorizer.pretrained.image_features import ImageFeatures

    wants_fid = arguments.fid or arguments.fid_weights is not None
    return _Judges(
        ImageFeatures() if arguments.kid else None,
        InceptionFeatures(arguments.fid_weights) if wants_fid else None,
    )


def _checked_judges(judges: _Judges, prepared: "PreparedPhotos") -> _Judges:
    """Leaves KID out where there is one photo only, and says so."""
    if len(prepared) > 1:
        return judges
    if judges.fid is not None:
        raise ColorizerError(f"{prepared.root}: FID needs at least 2 photos, there is 1")
    if judges.kid is not None:
        note("KID is left out: it needs at least 2 photos, there is 1")
    return _Judges(None, None)


def _against(colorizer: "Colorizer", arguments: EvaluateArguments) -> dict[str, "Colorizer"]:
    """Loads the other models, by the names that the tables give them."""
    from colorizer import load

    others = {}
    for path in arguments.against:
        other = load(path)
        # A model with one style only is compared as it is.
        other = other.styled(arguments.style if other.styles else None)
        seen, expected = (
            f"{one.image_size}x{one.image_size} ({_resize(one)})" for one in (other, colorizer)
        )
        if seen != expected:
            raise ColorizerError(
                f"{path}: sees photos at {seen}, {colorizer.path} at {expected}: "
                "they cannot be compared on the same pictures"
            )
        # A folder may bear the name of a row; none begins with a dot and a slash.
        name = str(path) if str(path) not in _ROWS else f"./{path}"
        if name in others:
            raise UsageError(f"--against {path}: is named twice")
        others[name] = other
    return others


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


def _evaluate(
    colorizer: "Colorizer",
    against: dict[str, "Colorizer"],
    prepared: "PreparedPhotos",
    judges: _Judges,
    batch_size: int,
) -> "Evaluation":
    from tqdm import tqdm

    from colorizer.evaluation.evaluation import evaluate

    with tqdm(total=len(prepared), desc="evaluating", unit="photo", file=sys.stderr) as bar:
        return evaluate(
            colorizer.predict_ab,
            prepared,
            batch_size,
            mean_ab=colorizer.mean_ab,
            progress=bar.update,
            against={name: other.predict_ab for name, other in against.items()},
            features=judges.kid,
            fid_features=judges.fid,
        )


def _hand_out(
    evaluation: "Evaluation",
    prepared: "PreparedPhotos",
    colorizer: "Colorizer",
    judges: _Judges,
    arguments: EvaluateArguments,
) -> None:
    from colorizer.evaluation.contact_sheet import write_contact_sheet
    from colorizer.evaluation.results import Setting, results_json, results_markdown
    from colorizer.files import write_json, write_text
    from colorizer.styles import DEFAULT_STYLE

    title = str(colorizer.path or "the shipped weights")
    setting = Setting(
        model=f"{title} ({arguments.style or DEFAULT_STYLE})" if colorizer.styles else title,
        data=arguments.data,
        image_size=prepared.image_size,
        resize=prepared.resize,
        skipped=prepared.rejected,
        kid_features=judges.kid.name if judges.kid else None,
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
