"""Gathers more training photos from the public repositories that the photo sets were drawn from.

Left out is whatever would spoil the figures or teach nothing: photos of the sets themselves and of
benchmarks/photos_excluded.tsv; near copies of a `val` or `test` photo (dHash, mirrored too), and
for the sports, whose photos come in series, crops and zooms of one; gray and toned photos,
drawings, cut-outs on white; the classes that the sets leave out. Files are copied as they are.

Example: python scripts/gather_photos.py --sources checkouts --clone --photos photos --output more
"""

import hashlib
import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from photo_likeness import Scene
from PIL import Image
from pydantic import BaseModel, ConfigDict
from rebuild_photos import BENCHMARKS, fetch_checkouts, read_manifest, read_table
from tqdm import tqdm

from colorizer.command import note, parse, run
from colorizer.files import replacing, write_text
from pipelines.errors import ColorizerError, UsageError
from pipelines.likeness import hashes, is_near, mirrored_hashes

LIST = "photos.tsv"
_LEFT_OUT_CLASSES = {"pole dancing", "n02837789"}
_SERIES = "sp100"
_SAMPLE_SIDE = 64
# On a picture of 64x64. Of 1,500 photos of `train`: spread 6.3 and more, white 0.42 and less but
# for one, colours 125 and more.
_LEAST_SPREAD = 5
_MOST_WHITE = 0.45
_LEAST_COLOURS = 125


@dataclass(frozen=True)
class Source:
    """Where in a repository photos are.

    Attributes:
        folder: below the checkout.
        least_side: shorter sides than this are left out, in pixels.
    """

    folder: str
    least_side: int = 128


SOURCES = {
    "sp100": Source("sports-classifier-data"),
    "nette": Source(""),
    "celeba": Source(""),
    "tinyin": Source("tiny-imagenet-200/train", least_side=64),
}


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sources: Path
    """Folder of checkouts, each in a sub-folder named by its source id."""
    photos: Path
    """Folder of the photo sets, with val and test."""
    output: Path
    """Folder to write the photos to, a sub-folder for each source. Those that are there are kept;
    photos.tsv lists all."""
    clone: bool = False
    """Fetch the checkouts that --sources lacks with git (about 1 GB)."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Gather from this source id only (sp100, nette, celeba, tinyin); may be given several
    times."""


class Verdict(StrEnum):
    """What became of a file."""

    KEPT = "kept"
    NAMED = "in the sets or excluded by name"
    UNREADABLE = "not an RGB image"
    SHAPE = "too small or too long"
    GRAY = "gray"
    GRAPHIC = "on white, or a drawing"
    COPY = "near copy of a val or test photo"
    SERIES = "crop or zoom of one"


@dataclass
class Unseen:
    """The photos that no network may have seen before it is tested.

    Attributes:
        hashes: of all of them, uint64 (N,).
        scenes: of those that come in series, by class.
    """

    hashes: np.ndarray
    scenes: dict[str, list[Scene]] = field(default_factory=lambda: defaultdict(list))


def gather(
    checkout: Path, files: list[Path], named: set[tuple[str, str]], unseen: Unseen, output: Path
) -> Counter:
    """Copies what may be trained on to `output`; returns what became of the files.

    Args:
        checkout: of the source's repository, in a folder named by the source id.
        files: the photos in it.
        named: source ids, and paths in the repository, that are left out.
        unseen: photos that nothing may resemble.
        output: see `Arguments`.
    """
    source = checkout.name

    def take(file: Path) -> Verdict:
        path = file.relative_to(checkout).as_posix()
        verdict = Verdict.NAMED if (source, path) in named else judge(file, source, unseen)
        if verdict is Verdict.KEPT:
            _copy(file, output / source / path)
        return verdict

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(take, files)
        return Counter(tqdm(verdicts, total=len(files), unit="photo", desc=source, file=sys.stderr))


def judge(file: Path, source: str, unseen: Unseen) -> Verdict:
    """Says whether a photo may be trained on, and if not, why."""
    try:
        with Image.open(file) as image:
            if image.mode != "RGB":
                return Verdict.UNREADABLE
            picture = image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return Verdict.UNREADABLE
    if min(picture.size) < SOURCES[source].least_side or max(picture.size) > 3 * min(picture.size):
        return Verdict.SHAPE
    if (verdict := _by_colours(picture)) is not Verdict.KEPT:
        return verdict
    found = np.concatenate([hashes(picture), mirrored_hashes(picture)])
    if is_near(found, unseen.hashes):
        return Verdict.COPY
    if source == _SERIES and Scene(picture).is_in(unseen.scenes.get(file.parent.name, ())):
        return Verdict.SERIES
    return Verdict.KEPT


def _files(source: str, checkout: Path) -> list[Path]:
    folder = checkout / SOURCES[source].folder
    files = sorted(_photos_below(folder))
    if not files:
        raise ColorizerError(f"{folder}: holds no .jpg or .jpeg file")
    return files


def _by_colours(picture: Image.Image) -> Verdict:
    side = (_SAMPLE_SIDE, _SAMPLE_SIDE)
    pixels = np.asarray(picture.resize(side, Image.Resampling.BOX)).astype(np.int32)
    if (pixels.max(-1) - pixels.min(-1)).mean() < _LEAST_SPREAD:
        return Verdict.GRAY
    white = (pixels.min(-1) >= 245).mean()
    coarse = (pixels >> 3) @ (1024, 32, 1)
    if white > _MOST_WHITE or len(np.unique(coarse)) < _LEAST_COLOURS:
        return Verdict.GRAPHIC
    return Verdict.KEPT


def _unseen(photos: Path, checkouts: dict[str, Path], excluded: list[tuple[str, str]]) -> Unseen:
    """Looks at the val and test photos, and at the excluded ones of the series."""
    files = [file for part in ("val", "test") for file in _photos_below(photos / part)]
    if not files:
        raise ColorizerError(f"{photos}: holds no photos in val and test")
    unseen = Unseen(np.concatenate([hashes(_opened(file)) for file in files]))
    if _SERIES in checkouts:
        entries = read_manifest(BENCHMARKS / "photos_manifest.tsv.gz")
        held_out = [
            entry.source_path.as_posix()
            for entry in entries
            if entry.source == _SERIES and entry.file.parts[0] != "train"
        ]
        held_out += [path for source, path in excluded if source == _SERIES]
        for path in held_out:
            file = checkouts[_SERIES] / path
            unseen.scenes[file.parent.name].append(Scene(_opened(file)))
    return unseen


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except OSError as error:
        raise ColorizerError(f"{file}: cannot be read: {error}") from None


def _photos_below(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        classes = _LEFT_OUT_CLASSES & set(file.parts)
        if file.suffix.lower() in (".jpg", ".jpeg") and not classes and ".git" not in file.parts:
            yield file


def _copy(file: Path, target: Path) -> None:
    if not target.exists():
        with replacing(target) as beside:
            shutil.copyfile(file, beside)


def _command() -> int:
    description = (__doc__ or "").split("\n\n")[0]
    arguments = parse(Arguments, prog="gather_photos.py", description=description)
    if unknown := set(arguments.only) - set(SOURCES):
        raise UsageError(f"--only: no source {', '.join(sorted(unknown))}")
    wanted = arguments.only or tuple(SOURCES)
    if arguments.clone:
        fetch_checkouts(arguments.sources, BENCHMARKS / "photo_sources.tsv", wanted)
    checkouts = {source: arguments.sources / source for source in wanted}
    files = {source: _files(source, checkout) for source, checkout in checkouts.items()}
    excluded = _excluded()
    unseen = _unseen(arguments.photos, checkouts, excluded)
    named = set(excluded) | {
        (entry.source, entry.source_path.as_posix())
        for entry in read_manifest(BENCHMARKS / "photos_manifest.tsv.gz")
    }
    counts = {}
    for source, checkout in checkouts.items():
        counts[source] = gather(checkout, files[source], named, unseen, arguments.output)
    _report(counts)
    _list(arguments.output)
    return 0


def _excluded() -> list[tuple[str, str]]:
    columns = ("source", "path in the source repository")
    rows = read_table(BENCHMARKS / "photos_excluded.tsv", columns)
    return [(row[columns[0]], row[columns[1]]) for row in rows]


def _list(output: Path) -> None:
    names = sorted(file.relative_to(output).as_posix() for file in _photos_below(output))
    text = "".join(f"{name}\n" for name in names)
    write_text(output / LIST, text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    note(f"{output / LIST}: {len(names)} photos, SHA-256 of the list {digest}")


def _report(counts: dict[str, Counter]) -> None:
    """Prints a Markdown table of what became of the files."""
    print("| source |", " | ".join(Verdict), "|")
    print("| --- |", " | ".join("---:" for _ in Verdict), "|")
    for source, count in counts.items():
        print(f"| {source} |", " | ".join(str(count[verdict]) for verdict in Verdict), "|")


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
