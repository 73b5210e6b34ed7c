"""Rebuilds a data folder from a manifest, so that published figures can be repeated.

A manifest names each photo, the public repository and the file that it came from, its size and
its SHA-256. This script reads those files from checkouts of the repositories, makes the photos
from them once more and compares each with the manifest.

How a photo is made: turned upright by its EXIF orientation; converted to sRGB where it has
another colour profile; short side reduced to 256 pixels (Lanczos), never enlarged; saved as JPEG at
quality 88, 4:2:0, with optimized Huffman tables and no metadata but the source's JPEG comment.
Other versions of Pillow or libjpeg may write other bytes for the same pixels: counted apart.
"""

import csv
import gzip
import hashlib
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated

import tyro
from PIL import Image, ImageCms, ImageOps
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from colorizer.command import note, parse, run
from colorizer.files import replacing
from pipelines.errors import ColorizerError, UsageError

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
COLUMNS = ("file", "source", "path in the source repository", "width", "height", "bytes", "sha256")
SHORT_SIDE = 256
QUALITY = 88
LISTED = 20


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    manifest: Path | None = None
    """The manifest, a table with tabs; compressed where its name ends in .gz. Left out:
    benchmarks/photos_manifest.tsv.gz of the repository."""
    output: Path | None = None
    """Folder to rebuild the photos in. Photos that are there already and right are kept."""
    sources: Path | None = None
    """Folder of checkouts, each in a sub-folder named by its source id."""
    source: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """ID=DIR: the checkout of one source; may be given several times."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Rebuild the photos of this source id only; may be given several times."""
    clone: bool = False
    """Fetch the checkouts that --sources lacks with git, at the commits of --source-table."""
    source_table: Path | None = None
    """Repository and commit of each source id, a table with tabs. Left out:
    benchmarks/photo_sources.tsv of the repository."""
    write_manifest: Path | None = None
    """Instead of rebuilding: write --manifest from the .jpg files of this folder."""


class Status(StrEnum):
    """What became of a photo."""

    EXACT = "exact"
    OTHER_BYTES = "same size, other bytes"
    OTHER_SIZE = "other size"
    UNREADABLE = "unreadable source"
    MISSING = "missing source"


@dataclass(frozen=True)
class Entry:
    """A line of the manifest.

    Attributes:
        file: the photo's path in the data folder.
        source: source id.
        source_path: path in the source repository.
        size: width and height in pixels.
        bytes: size of the file.
        sha256: hash of the file, hexadecimal.
    """

    file: PurePosixPath
    source: str
    source_path: PurePosixPath
    size: tuple[int, int]
    bytes: int
    sha256: str


def read_manifest(path: Path) -> list[Entry]:
    """Reads a manifest.

    Raises:
        ColorizerError: it cannot be read, or a line is not what it should be.
    """
    rows = read_table(path, COLUMNS)
    return [_entry(path, number, row) for number, row in enumerate(rows, start=2)]


def write_manifest(folder: Path, manifest: Path) -> int:
    """Writes a manifest of the .jpg files in a tree; returns their number.

    The source id of each is the folder's name, its source path its own path: rebuilding from the
    folder itself gives exact copies.

    Raises:
        ColorizerError: there is no .jpg file, or one cannot be read.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".jpg" and p.is_file())
    if not files:
        raise ColorizerError(f"{folder}: holds no .jpg file")
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(COLUMNS)
    for file in files:
        content = file.read_bytes()
        name = file.relative_to(folder).as_posix()
        digest = hashlib.sha256(content).hexdigest()
        size = _size_of(content, file)
        table.writerow([name, folder.resolve().name, name, *size, len(content), digest])
    encoded = text.getvalue().encode()
    with replacing(manifest) as beside:
        # No time stamp inside: the same folder gives the same bytes.
        compress = manifest.suffix == ".gz"
        beside.write_bytes(gzip.compress(encoded, mtime=0) if compress else encoded)
    return len(files)


def encode_photo(source: Path) -> bytes:
    """Makes the photo, as the module says, from a source file; returns the JPEG's bytes.

    Raises:
        OSError: the source is not an image that Pillow can read.
    """
    with Image.open(source) as image:
        profile = image.info.get("icc_profile")
        picture = ImageOps.exif_transpose(image).convert("RGB")
    if profile:
        picture = _to_srgb(picture, profile)
    width, height = picture.size
    scale = SHORT_SIDE / min(width, height)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY, subsampling="4:2:0", optimize=True)
    return encoded.getvalue()


def rebuild_photo(entry: Entry, checkout: Path | None, output: Path) -> Status:
    """Makes one photo of the manifest below `output`, whole or not at all.

    A photo of another size than the manifest says is not written.
    """
    target = output / entry.file
    if target.is_file() and _sha256(target.read_bytes()) == entry.sha256:
        return Status.EXACT
    source = checkout / entry.source_path if checkout else None
    if source is None or not source.is_file():
        return Status.MISSING
    content = source.read_bytes()
    if _sha256(content) != entry.sha256:
        try:
            content = encode_photo(source)
        except (OSError, SyntaxError, ImageCms.PyCMSError, Image.DecompressionBombError):
            return Status.UNREADABLE
        if _size_of(content, source) != entry.size:
            return Status.OTHER_SIZE
    with replacing(target) as beside:
        beside.write_bytes(content)
    return Status.EXACT if _sha256(content) == entry.sha256 else Status.OTHER_BYTES


def fetch_checkout(source: str, repository: str, commit: str, folder: Path) -> None:
    """Brings one commit of a git repository into `folder`, without its history.

    Raises:
        ColorizerError: git is missing or failed; the message holds its last line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note(f"fetching {source}: {repository} at {commit[:12]}")
    for arguments in (
        ["init", "--quiet"],
        ["fetch", "--quiet", "--depth", "1", repository, commit],
        ["checkout", "--quiet", "--force", "--detach", commit],
    ):
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments],
                env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise ColorizerError("git is not installed, and --clone needs it") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ColorizerError(f"{repository}: git {arguments[0]} failed: {last}")


def _command() -> int:
    arguments = parse(Arguments, prog="rebuild_photos.py", description=_description())
    if arguments.write_manifest is not None:
        if arguments.manifest is None:
            raise UsageError("--manifest is needed: the file to write")
        number = write_manifest(arguments.write_manifest, arguments.manifest)
        print(f"{arguments.manifest}: {number} photos")
        return 0
    if arguments.output is None:
        raise UsageError("--output is needed: the folder to rebuild the photos in")
    manifest = arguments.manifest or BENCHMARKS / "photos_manifest.tsv.gz"
    entries = _chosen(read_manifest(manifest), arguments.only)
    checkouts = _checkouts(arguments, sorted({entry.source for entry in entries}))
    statuses = _rebuild(entries, checkouts, arguments.output)
    return _report(entries, statuses)


def _description() -> str:
    return (__doc__ or "").split("\n\n")[0]


def _chosen(entries: list[Entry], only: Sequence[str]) -> list[Entry]:
    if unknown := set(only) - {entry.source for entry in entries}:
        raise UsageError(f"--only: the manifest has no source {', '.join(sorted(unknown))}")
    return [entry for entry in entries if not only or entry.source in only]


def _checkouts(arguments: Arguments, sources: Sequence[str]) -> dict[str, Path]:
    """Says where the checkout of each source lies; fetches those that --clone asks for."""
    given: dict[str, Path] = {}
    for pair in arguments.source:
        source, separator, folder = pair.partition("=")
        if not separator or not folder:
            raise UsageError(f"--source: expected ID=DIR, got {pair!r}")
        if not Path(folder).is_dir():
            raise ColorizerError(f"{folder}: no such folder")
        given[source] = Path(folder)
    if arguments.sources is None:
        if arguments.clone or not given:
            raise UsageError("--sources is needed: the folder of the checkouts")
        return given
    if arguments.clone:
        table = arguments.source_table or BENCHMARKS / "photo_sources.tsv"
        fetch_checkouts(
            arguments.sources, table, [source for source in sources if source not in given]
        )
    return {source: arguments.sources / source for source in sources} | given


def fetch_checkouts(sources: Path, source_table: Path, wanted: Sequence[str]) -> None:
    """Brings the checkouts that are missing below `sources`, by the table of sources.

    Raises:
        ColorizerError: the table does not name one, or git failed.
    """
    rows = read_table(source_table, ("source", "repository", "commit"))
    known = {row["source"]: row for row in rows}
    for source in wanted:
        if source not in known:
            raise ColorizerError(f"{source_table}: does not name the source {source}")
        commit, folder = known[source]["commit"], sources / source
        if not _is_complete(folder, commit):
            fetch_checkout(source, known[source]["repository"], commit, folder)


def _is_complete(folder: Path, commit: str) -> bool:
    """Whether a checkout stands already; git moves HEAD to the commit after the files are there."""
    if not (folder / ".git").exists():
        return folder.is_dir() and any(folder.iterdir())
    head = folder / ".git" / "HEAD"
    return head.is_file() and head.read_text(encoding="utf-8").strip() == commit


def _rebuild(entries: Sequence[Entry], checkouts: dict[str, Path], output: Path) -> list[Status]:
    def rebuild(entry: Entry) -> Status:
        return rebuild_photo(entry, checkouts.get(entry.source), output)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(rebuild, entries)
        return list(tqdm(done, total=len(entries), unit="photo", file=sys.stderr))


def _report(entries: Sequence[Entry], statuses: Sequence[Status]) -> int:
    """Prints a Markdown table of counts; returns 1 where a photo could not be made."""
    bad = {Status.OTHER_SIZE, Status.UNREADABLE, Status.MISSING}
    failed = [(e, s) for e, s in zip(entries, statuses, strict=True) if s in bad]
    for entry, status in failed[:LISTED]:
        note(f"{entry.file}: {status} ({entry.source}: {entry.source_path})")
    if len(failed) > LISTED:
        note(f"and {len(failed) - LISTED} more")
    counts = Counter((e.source, s) for e, s in zip(entries, statuses, strict=True))
    print("| source |", " | ".join(Status), "|")
    print("| --- |", " | ".join("---:" for _ in Status), "|")
    for source in sorted({entry.source for entry in entries}):
        print(f"| {source} |", " | ".join(str(counts[source, s]) for s in Status), "|")
    print("| all |", " | ".join(str(statuses.count(s)) for s in Status), "|")
    return 1 if failed else 0


def _entry(path: Path, number: int, row: dict[str, str]) -> Entry:
    try:
        file, source_path = (PurePosixPath(row[COLUMNS[column]]) for column in (0, 2))
        if any(part.is_absolute() or ".." in part.parts for part in (file, source_path)):
            raise ValueError("a path that leaves its folder")
        size = int(row["width"]), int(row["height"])
        return Entry(file, row["source"], source_path, size, int(row["bytes"]), row["sha256"])
    except (TypeError, ValueError) as error:
        raise ColorizerError(f"{path}: line {number}: {error}") from None


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads a table with tabs and a head line; compressed where its name ends in .gz.

    Raises:
        ColorizerError: it cannot be read, or lacks one of the columns.
    """
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ColorizerError(f"{path}: cannot be read: {error}") from None
    table = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    if absent := set(columns) - set(table.fieldnames or ()):
        raise ColorizerError(f"{path}: lacks the column {sorted(absent)[0]!r}")
    return list(table)


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(embedded).lower():
        return picture
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, embedded, srgb, outputMode="RGB")
    assert converted is not None  # None only comes with inPlace.
    return converted


def _size_of(content: bytes, path: Path) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except OSError:
        raise ColorizerError(f"{path}: not an image") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Runs the command."""
    run(_command)


if __name__ == "__main__":
    main()
