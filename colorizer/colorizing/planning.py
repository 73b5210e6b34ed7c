"""What there is to do: from the inputs of a command to the photos that wait and their names."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colorizer.colorizing.inputs import Found, Source, find_sources
from colorizer.colorizing.outputs import Job, name_outputs
from colorizer.films.formats import is_film, result_suffix
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
        films: the films to colour.
    """

    waiting: list[Job]
    skipped: int
    errors: list[PhotoError]
    passed_over: int
    sources: Sequence[Source]
    films: list[Job] = field(default_factory=list)


def plan(
    inputs: Sequence[str],
    output: Path,
    suffix: str,
    *,
    skip_existing: bool,
    variants: int | None = None,
    films: bool = False,
) -> Plan:
    """Finds the photos and names their results.

    Args:
        inputs: files, folders and globs.
        output: folder to write to.
        suffix: ".png" or ".jpg".
        skip_existing: leave photos alone whose result is there already.
        variants: how many colourings of each photo; None: one, without a number in its name.
        films: find films too.

    Raises:
        NoPhotosError: the inputs hold no photo at all.
        ColorizerError: the output is not a folder.
    """
    if output.exists() and not output.is_dir():
        raise ColorizerError(f"{output}: is not a folder")
    found = find_sources(inputs, output, films=films)
    if not found.sources and not found.errors:
        raise NoPhotosError(f"no photos found in {', '.join(inputs)}")
    photos = [source for source in found.sources if not (films and is_film(source.path))]
    jobs, nameless = name_outputs(photos, output, suffix, _inputs_without(photos, found), variants)
    waiting = [job for job in jobs if not (skip_existing and _is_there(job.target))]
    film_jobs, nameless_films = _name_films(found, output) if films else ([], [])
    waiting_films = [job for job in film_jobs if not (skip_existing and _is_there(job.target))]
    return Plan(
        waiting,
        len(jobs) + len(film_jobs) - len(waiting) - len(waiting_films),
        found.errors + nameless + nameless_films,
        len(found.passed_over),
        photos,
        waiting_films,
    )


def _name_films(found: Found, output: Path) -> tuple[list[Job], list[PhotoError]]:
    """Names films; those that become of one container among themselves, as only they can clash."""
    by_suffix: dict[str, list[Source]] = defaultdict(list)
    for source in found.sources:
        if is_film(source.path):
            by_suffix[result_suffix(source.path)].append(source)
    jobs: list[Job] = []
    nameless: list[PhotoError] = []
    for suffix, sources in by_suffix.items():
        named, left = name_outputs(sources, output, suffix, _inputs_without(sources, found))
        jobs += named
        nameless += left
    return jobs, nameless


def _inputs_without(sources: Sequence[Source], found: Found) -> list[Path]:
    """The other files that must not be overwritten."""
    own = {source.path for source in sources}
    others = [source.path for source in found.sources if source.path not in own]
    return found.passed_over + others


def _is_there(target: Path) -> bool:
    try:
        return target.is_file()
    except OSError:
        return False  # A name too long for the file system: writing it will say so.
