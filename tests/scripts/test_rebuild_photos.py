"""scripts/rebuild_photos.py on made-up source folders and repositories."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipelines.errors import ColorizerError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "rebuild_photos.py"


@pytest.fixture(scope="module")
def script(import_script) -> ModuleType:
    return import_script("rebuild_photos")


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def data(script: ModuleType, tmp_path: Path) -> Path:
    """A folder with a source `alpha` of three photos and a manifest made from them.

    The second photo is recorded with another hash, as another encoder would leave it.
    """
    source = tmp_path / "sources" / "alpha"
    source.mkdir(parents=True)
    lines = ["\t".join(script.COLUMNS)]
    for index, size in enumerate([(640, 320), (300, 400), (200, 100)]):
        file = source / f"{index} photo.png"
        picture(*size, seed=index).save(file)
        made = script.encode_photo(file)
        digest = hashlib.sha256(b"other" if index == 1 else made).hexdigest()
        scale = min(1, 256 / min(size))
        width, height = (round(side * scale) for side in size)
        name = f"train/{index}.jpg"
        lines.append(f"{name}\talpha\t{file.name}\t{width}\t{height}\t{len(made)}\t{digest}")
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_rebuilds_and_reports(data: Path) -> None:
    output = data / "output"
    done = command(
        "--manifest", data / "manifest.tsv", "--sources", data / "sources", "--output", output
    )
    assert done.returncode == 0, done.stderr
    assert "| alpha | 2 | 1 | 0 | 0 | 0 |" in done.stdout
    for name, size in {"0.jpg": (512, 256), "1.jpg": (256, 341), "2.jpg": (200, 100)}.items():
        with Image.open(output / "train" / name) as made:
            assert made.size == size
    assert not list(output.rglob(".*"))


def test_counts_what_cannot_be_made_and_does_the_rest(data: Path) -> None:
    source = data / "sources" / "alpha"
    picture(10, 10).save(source / "0 photo.png")
    (source / "1 photo.png").write_bytes(b"<html>")
    with (data / "manifest.tsv").open("a", encoding="utf-8") as manifest:
        manifest.write(f"train/3.jpg\tbeta\tphoto.png\t1\t1\t1\t{'0' * 64}\n")
    output = data / "output"
    done = command(
        "--manifest", data / "manifest.tsv", "--source", f"alpha={source}", "--output", output
    )
    assert done.returncode == 1
    assert "| alpha | 1 | 0 | 1 | 1 | 0 |" in done.stdout
    assert "| beta | 0 | 0 | 0 | 0 | 1 |" in done.stdout
    assert "train/3.jpg: missing source (beta: photo.png)" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in output.rglob("*.jpg")] == ["2.jpg"]


def test_photos_that_are_right_already_need_no_source(script: ModuleType, data: Path) -> None:
    entry = script.read_manifest(data / "manifest.tsv")[0]
    checkout = data / "sources" / "alpha"
    assert script.rebuild_photo(entry, checkout, data) is script.Status.EXACT
    assert script.rebuild_photo(entry, None, data) is script.Status.EXACT
    (data / entry.file).write_bytes(b"damaged")
    assert script.rebuild_photo(entry, None, data) is script.Status.MISSING


def test_written_manifest_gives_exact_copies(script: ModuleType, tmp_path: Path) -> None:
    photos, manifest = tmp_path / "photos", tmp_path / "manifest.tsv.gz"
    (photos / "a").mkdir(parents=True)
    picture(300, 300).save(photos / "a" / "one.jpg", quality=50)
    picture(64, 32).save(photos / "two.JPG", quality=95)
    done = command("--write-manifest", photos, "--manifest", manifest)
    assert done.returncode == 0, done.stderr
    written = manifest.read_bytes()
    assert b"a/one.jpg" in gzip.decompress(written)
    assert script.write_manifest(photos, manifest) == 2
    assert manifest.read_bytes() == written
    for entry in script.read_manifest(manifest):
        assert script.rebuild_photo(entry, photos, tmp_path / "copy") is script.Status.EXACT
        copy, original = tmp_path / "copy" / entry.file, photos / entry.file
        assert copy.read_bytes() == original.read_bytes()


def test_photo_is_upright_srgb_and_without_metadata(script: ModuleType, tmp_path: Path) -> None:
    turned = picture(40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    turned.save(file, exif=exif)
    (tmp_path / "made.jpg").write_bytes(script.encode_photo(file))
    with Image.open(tmp_path / "made.jpg") as made:
        assert made.size == (20, 40)
        assert not {"exif", "icc_profile", "comment"} & set(made.info)


def test_other_colour_profiles_are_converted(script: ModuleType, tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A profile of another name whose red primary is sRGB's blue one, and the reverse.
    renamed = srgb.replace("sRGB".encode("utf-16-be"), "else".encode("utf-16-be"))
    swapped = renamed.replace(b"rXYZ", b"?").replace(b"bXYZ", b"rXYZ").replace(b"?", b"bXYZ")
    for profile, expected in ((srgb, (200, 40, 40)), (swapped, (40, 40, 200))):
        file = tmp_path / "photo.png"
        Image.new("RGB", (64, 64), (200, 40, 40)).save(file, icc_profile=profile)
        (tmp_path / "made.jpg").write_bytes(script.encode_photo(file))
        with Image.open(tmp_path / "made.jpg") as made:
            np.testing.assert_allclose(made.getpixel((32, 32)), expected, atol=3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../a.jpg\talpha\ta\t1\t1\t1\t0", "line 2: a path that leaves its folder"),
        ("a.jpg\talpha\t/etc/passwd\t1\t1\t1\t0", "line 2: a path that leaves its folder"),
        ("a.jpg\talpha\ta\tone\t1\t1\t0", "line 2: invalid literal"),
        ("a.jpg\talpha", "line 2"),
    ],
)
def test_manifest_that_is_wrong(
    script: ModuleType, tmp_path: Path, line: str, message: str
) -> None:
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("\t".join(script.COLUMNS) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ColorizerError, match=message):
        script.read_manifest(manifest)


@pytest.mark.parametrize("content", [b"file\tsource\n", b"\x1f\x8bbroken"])
def test_manifest_that_is_none(script: ModuleType, tmp_path: Path, content: bytes) -> None:
    for name in ("manifest.tsv", "manifest.tsv.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ColorizerError, match=name):
            script.read_manifest(tmp_path / name)


def test_wrong_usage(data: Path) -> None:
    manifest = ("--manifest", data / "manifest.tsv")
    assert command(*manifest).returncode == 2
    assert command(*manifest, "--output", data / "o").returncode == 2
    done = command(*manifest, "--output", data / "o", "--source", "alpha")
    assert done.returncode == 2
    assert "ID=DIR" in done.stderr
    done = command(*manifest, "--output", data / "o", "--sources", data, "--only", "gamma")
    assert done.returncode == 2
    assert "gamma" in done.stderr


def test_fetches_the_commit_of_the_table(script: ModuleType, data: Path) -> None:
    source, origin = data / "sources" / "alpha", data / "origin"
    source.rename(origin)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        call = ["git", "-C", str(origin), *identity, *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "photos")
    commit = git("rev-parse", "HEAD")
    git("rm", "--quiet", "0 photo.png")
    git("commit", "--quiet", "--message", "fewer photos")

    table = data / "sources.tsv"
    table.write_text(f"source\trepository\tcommit\nalpha\t{origin}\t{commit}\n", encoding="utf-8")
    arguments = ("--manifest", data / "manifest.tsv", "--sources", data / "sources", "--clone")
    done = command(*arguments, "--source-table", table, "--output", data / "output")
    assert done.returncode == 0, done.stderr
    assert "| alpha | 2 | 1 | 0 | 0 | 0 |" in done.stdout
    assert script._is_complete(source, commit)
    assert not script._is_complete(source, "0" * 40)

    with pytest.raises(ColorizerError, match="git fetch failed"):
        script.fetch_checkout("alpha", str(data / "nowhere"), commit, data / "other")


def test_committed_tables_belong_together(script: ModuleType) -> None:
    entries = script.read_manifest(ROOT / "benchmarks" / "photos_manifest.tsv.gz")
    table = (ROOT / "benchmarks" / "photo_sources.tsv").read_text(encoding="utf-8")
    named = {line.split("\t")[0] for line in table.splitlines()[1:]}
    # Small photos for training alone, see scripts/gather_photos.py, come in no set.
    assert {entry.source for entry in entries} == named - {"tinyin"}
    splits = [entry.file.parts[0] for entry in entries]
    assert {split: splits.count(split) for split in set(splits)} == {
        "train": 6003,
        "val": 329,
        "test": 526,
    }
    assert len({entry.file for entry in entries}) == len(entries)


def test_manifest_describes_the_shared_photos(script: ModuleType, shared_photos: Path) -> None:
    entries = script.read_manifest(ROOT / "benchmarks" / "photos_manifest.tsv.gz")
    for entry in entries[::200]:
        content = (shared_photos / "photos" / entry.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert len(content) == entry.bytes


def test_sample_photos_are_the_manifest_s(script: ModuleType, sample_photos: Path) -> None:
    entries = script.read_manifest(ROOT / "benchmarks" / "photos_manifest.tsv.gz")
    hashes = {PurePosixPath(entry.file).name: entry.sha256 for entry in entries}
    copies = [p for p in sample_photos.rglob("*.jpg") if not p.name.startswith("skimage_")]
    assert copies
    for path in copies:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == hashes[path.name]
