"""What there is to do: from the inputs of a command to the photos that wait and their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colorizer.colorizing.inputs import Source, find_sources
from colorizer.colorizing.outputs import Job, name_outputs
from pipelines.errors import ColorizerError, NoPhotosError, PhotoError


@dataclass(frozen=True)
class Plan:
    """The work of a command that colours photos.

    Attributes:
        waiting: the photos to colour.
        skipped: how many have their result already.
        errors: what is wrong with some before anything is read.
        passed_over: how many files are no photos.
        sources: all photos, also those that are not to be coloured.
    """

    waiting: list[Job]
    skipped: int
    errors: list[PhotoError]
    passed_over: int
    sources: Sequence[Source]


def plan(
    inputs: Sequence[str],
    output: Path,
    suffix: str,
    *,
    skip_existing: bool,
    variants: int | None = None,
) -> Plan:
    """Finds the photos and names their results.

    Args:
        inputs: files, folders and globs.
        output: folder to write to.
        suffix: ".png" or ".jpg".
        skip_existing: leave photos alone whose result is there already.
        variants: how many colourings of each photo; None: one, without a number in its name.

    Raises:
        NoPhotosError: the inputs hold no photo at all.
        ColorizerError: the output is not a folder.
    """
    if output.exists() and not output.is_dir():
        raise ColorizerError(f"{output}: is not a folder")
    found = find_sources(inputs, output)
    if not found.sources and not found.errors:
        raise NoPhotosError(f"no photos found in {', '.join(inputs)}")
    jobs, nameless = name_outputs(found.sources, output, suffix, found.passed_over, variants)
    waiting = [job for job in jobs if not (skip_existing and _is_there(job.target))]
    return Plan(
        waiting,
        len(jobs) - len(waiting),
        found.errors + nameless,
        len(found.passed_over),
        found.sources,
    )


def _is_there(target: Path) -> bool:
    try:
        return target.is_file()
    except OSError:
        return False  # A name too long for the file system: writing it will say so.
