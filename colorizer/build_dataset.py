"""`python -m colorizer.build_dataset`: photos become a dataset that `--data tfds:NAME` reads."""

import contextlib
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from pydantic import BaseModel, ConfigDict

from colorizer.command import import_tensorflow, note, parse, run
from colorizer.locks import used_alone
from pipelines.dataset_names import BuilderName
from pipelines.errors import ColorizerError, NotWrittenError, UsageError

if TYPE_CHECKING:
    from pipelines.datasets.photo_builder import PhotoBuilder

_DESCRIPTION = """Builds a dataset of TensorFlow Datasets from photos that lie on this machine.

Broken, gray and toned photos and copies of others are left out, counted and listed in the
dataset's metadata.json. The dataset goes to $TFDS_DATA_DIR (default: ~/tensorflow_datasets).
pipelines/datasets/README.md says where the photos come from, and on which terms."""
EXAMPLES = """
# A folder of one's own; train on it with --data tfds:photo_folder/mine.
python -m colorizer.build_dataset --dataset photo_folder --source photos/train --name mine
# One of the report's sets, from the archive that was fetched from Kaggle.
python -m colorizer.build_dataset --dataset sports100 --source ~/Downloads
"""

# The names of the configs that a builder has without one are taken.
_NAME = re.compile(r"(?!(squash|crop)$)\w[\w-]*", re.ASCII)


class BuildArguments(BaseModel):
    """The arguments of `python -m colorizer.build_dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: BuilderName
    """Which dataset to build; photo_folder is any tree of .jpg and .jpeg files."""
    source: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder in which the archive from Kaggle lies, or what was unpacked from it; for photo_folder
    the folder of photos itself."""
    resize: Literal["squash", "crop"] = "squash"
    """How photos become 256x256: squash (as in the report) or crop (cut out the middle)."""
    name: str | None = None
    """For photo_folder: keeps several folders apart, tfds:photo_folder/NAME."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def build(arguments: BuildArguments) -> Path:
    """Builds the dataset; returns the folder that it lies in.

    Raises:
        ColorizerError: it is built already, or by another process now, or there is nothing to build
            it from.
        NotWrittenError: it cannot be written.
    """
    import tensorflow_datasets as tfds

    if not arguments.source.is_dir():
        raise ColorizerError(f"{arguments.source}: no such folder")
    builder = _builder(arguments)
    folder = Path(builder.data_dir)
    if folder.exists():
        raise ColorizerError(f"{folder}: is built already; to build it anew, remove that folder")
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with used_alone(folder.parent):
        for left_behind in folder.parent.glob(f"{tfds.core.constants.INCOMPLETE_PREFIX}*"):
            shutil.rmtree(left_behind)
        # tfds says on stdout what it does.
        with contextlib.redirect_stdout(sys.stderr):
            config = tfds.download.DownloadConfig(manual_dir=str(arguments.source))
            try:
                builder.download_and_prepare(download_config=config)
            except OSError as error:
                raise NotWrittenError(folder, error) from error
    _tell(builder)
    return folder


def _builder(arguments: BuildArguments) -> "PhotoBuilder":
    import importlib

    from pipelines.datasets.photo_builder import PhotoConfig

    name = arguments.dataset
    module = importlib.import_module(f"pipelines.datasets.{name}.{name}_dataset_builder")
    config: str | PhotoConfig = arguments.resize
    if arguments.name is not None:
        config = PhotoConfig(name=arguments.name, resize=arguments.resize)
    builder: PhotoBuilder = module.Builder(config=config)
    return builder


def _tell(builder: "PhotoBuilder") -> None:
    from pipelines.datasets.photo_builder import counted

    for split, told in builder.info.metadata["splits"].items():
        reasons = counted(told["left_out"]).most_common()
        left_out = "".join(f"; {count} left out: {why}" for why, count in reasons)
        note(f"{split}: {told['photos']} photos{left_out}")
    if passed_over := builder.info.metadata["passed_over"]:
        note(f"{passed_over} photos lie in none of the splits' folders: passed over")


def _command() -> None:
    arguments = parse(
        BuildArguments,
        prog="python -m colorizer.build_dataset",
        description=_DESCRIPTION,
        examples=EXAMPLES,
    )
    if arguments.name is not None and arguments.dataset != "photo_folder":
        raise UsageError("--name is for photo_folder only")
    if arguments.name is not None and not _NAME.fullmatch(arguments.name):
        raise UsageError(
            f"--name {arguments.name}: letters, digits, - and _ only, and neither squash nor crop"
        )
    import_tensorflow()
    print(build(arguments))


if __name__ == "__main__":
    main()
