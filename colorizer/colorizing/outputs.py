"""Names for coloured photos: short ones, no two the same, and never that of an input."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from colorizer.colorizing.inputs import Source
from pipelines.errors import PhotoError


@dataclass(frozen=True)
class Job:
    """One photo to be coloured and the file to write it to.

    Attributes:
        source: the photo.
        target: the file.
        variant: which of several colourings, from 1.
    """

    source: Source
    target: Path
    variant: int = 1


def name_outputs(
    sources: Sequence[Source],
    output: Path,
    suffix: str,
    inputs: Iterable[Path],
    variants: int | None = None,
) -> tuple[list[Job], list[PhotoError]]:
    """Gives each source a file below `output`.

    The first name of these that is no other's and no input's (also not through a link):
    `summer/lake.png`; with the full source name, `summer/lake.jpg.png`; with the folders above,
    `photos/summer/lake.jpg.png` and so on. Of several that collide, all go on to the next.
    Names that differ only in case, or in how Unicode composes them, collide as well: some file
    systems hold them for one. Variants have their number before the suffix, `lake.1.png`; all of
    a photo's go on to the next name together.

    Args:
        sources: the photos.
        output: folder to write to.
        suffix: ".png" or ".jpg".
        inputs: files that must not be overwritten, besides the sources.
        variants: how many of each photo; None: one, without a number.

    Returns:
        The jobs in the order of `sources`, and an error for each source that no name is left for.
    """
    taken = _identities([source.path for source in sources] + list(inputs))
    targets = _targets(sources, output, suffix, taken, variants)
    reason = f"no name is left in {output} that would not overwrite an input"
    nameless = [source for i, source in enumerate(sources) if i not in targets]
    return (
        [
            Job(sources[i], each, number)
            for i, target in targets.items()
            for number, each in enumerate(_numbered(target, variants), start=1)
        ],
        [PhotoError(source.path, reason) for source in nameless],
    )


def names_below(kept: Sequence[Path], suffix: str) -> list[Path | None]:
    """Names, relative to the output, for photos that lie below one folder outside of it.

    They are those of `name_outputs`. No file is looked at. Photos of different `clash_key` never
    meet, so that each such group can be named without the others.

    Args:
        kept: each photo's path below the folder.
        suffix: ".png" or ".jpg".

    Returns:
        A name for each of `kept`; None where several have one and the same path.
    """
    targets = _targets([Source(path, path) for path in kept], Path(), suffix, set())
    return [targets.get(i) for i in range(len(kept))]


def clash_key(kept: Path) -> str:
    """What all names that `names_below` could give to a photo have in common."""
    return _folded(kept.parent / kept.name.partition(".")[0])


def _targets(
    sources: Sequence[Source],
    output: Path,
    suffix: str,
    taken: set[tuple[int, int]],
    variants: int | None = None,
) -> dict[int, Path]:
    """The targets by the sources' numbers, without those that no name is left for.

    They are without the variants' numbers, which keep different names different.
    """
    levels = dict.fromkeys(range(len(sources)), 0)
    while True:
        targets = {i: output / _kept(sources[i], level, suffix) for i, level in levels.items()}
        clashing = _clashing(sources, targets, levels)
        if taken:
            clashing |= {
                i
                for i, target in targets.items()
                if _identities(_numbered(target, variants)) & taken
            }
        if not clashing:
            return targets
        for i in clashing:
            levels[i] += 1
            if levels[i] > _last_level(sources[i]):
                del levels[i]


def _kept(source: Source, level: int, suffix: str) -> Path:
    """The name of a source at one of the levels that `name_outputs` lists."""
    if level == 0:
        return source.kept.with_name(source.kept.stem + suffix)
    parts = _absolute(source).parts[1:]
    tail = Path(*parts[-(len(source.kept.parts) + level - 1) :])
    return tail.with_name(tail.name + suffix)


def _numbered(target: Path, variants: int | None) -> list[Path]:
    if variants is None:
        return [target]
    return [
        target.with_name(f"{target.stem}.{number}{target.suffix}")
        for number in range(1, variants + 1)
    ]


def _last_level(source: Source) -> int:
    return len(_absolute(source).parts) - len(source.kept.parts)


def _clashing(
    sources: Sequence[Source], targets: dict[int, Path], levels: dict[int, int]
) -> set[int]:
    """Those whose target is another's too, of each such group the ones with the shortest name."""
    groups = defaultdict(list)
    for i, target in targets.items():
        groups[_folded(target)].append(i)
    clashing: set[int] = set()
    for group in groups.values():
        # A file system that tells `a.jpg` from `A.jpg` can tell their results apart too.
        if len({_folded(_absolute(sources[i])) for i in group}) == 1:
            group = _repeated(group, targets)
        if len(group) > 1:
            lowest = min(levels[i] for i in group)
            clashing |= {i for i in group if levels[i] == lowest}
    return clashing


def _repeated(group: list[int], targets: dict[int, Path]) -> list[int]:
    names = [targets[i] for i in group]
    return [i for i in group if names.count(targets[i]) > 1]


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _absolute(source: Source) -> Path:
    return Path(os.path.abspath(source.path))  # noqa: PTH100  (resolve() would follow links)


def _identities(paths: Iterable[Path]) -> set[tuple[int, int]]:
    identities = set()
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # No file there, or none to be seen: nothing that could be overwritten.
        identities.add((status.st_dev, status.st_ino))
    return identities
