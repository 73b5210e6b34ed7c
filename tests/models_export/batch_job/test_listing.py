"""The names of an archive: those that Beam lists, in parts that nothing clashes across."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from colorizer.colorizing.outputs import clash_key
from models_export.batch_job.listing import Listing, Part
from models_export.batch_job.places import Places, literally, places, printable
from pipelines.errors import ColorizerError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Names that collide, hidden ones, brackets, bytes that are no UTF-8, links."""
    archive = tmp_path / "al[b]um"
    (archive / "summer" / "deep").mkdir(parents=True)
    (archive / ".hidden").mkdir()
    (archive / "empty").mkdir()
    for name in ("lake.jpg", "lake.png", "Lake.tif", "notes.txt", "ảnh cũ.jpg", ".hidden/lake.jpg"):
        (archive / name).write_text("photo")
    for number in range(40):
        (archive / "summer" / f"{number:03d}.jpg").write_text("photo")
        (archive / "summer" / "deep" / f"scan.{number:03d}.jpg").write_text("photo")
    (Path(os.fsdecode(os.fsencode(archive) + b"/caf\xe9.jpg"))).write_text("photo")
    (archive / "linked.jpg").symlink_to(archive / "lake.jpg")
    (archive / "to_nowhere.jpg").symlink_to(archive / "gone.jpg")
    (archive / "circle").symlink_to(archive)
    return archive


def parts_of(ends: Places, most: int) -> list[Part]:
    with closing(Listing(ends, ".png")) as listing:
        return list(listing.parts(most))


def listed_by_beam(pattern: str) -> list[str]:
    found = FileSystems.match([pattern])[0].metadata_list
    return sorted(printable(metadata.path) for metadata in found)


@pytest.mark.parametrize(
    "source", ["", "summer", "lake.jpg", "**/lake.*", "summer/*", "summer/**/*1.jpg", "none", "*["]
)
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_each_input_that_beam_lists_is_in_one_part(archive, tmp_path, source, most):
    if "*" in source:
        archive = archive.rename(tmp_path / "plain")
    ends = places(str(archive / source), str(tmp_path / "out"))
    sources = [path for part in parts_of(ends, most) for path in part.sources]
    assert sorted(sources) == listed_by_beam(ends.pattern)
    assert bool(sources) == (source not in ("none", "*["))


def test_groups_that_could_clash_stay_together(archive, tmp_path):
    output = tmp_path / "out"
    (output / "summer" / "deep").mkdir(parents=True)
    # Results, a result of a photo that is gone, an empty one, what is none.
    for name in ("lake.jpg.png", "summer/003.png", "summer/deep/scan.007.png", "gone.png"):
        (output / name).write_text("result")
    (output / "summer" / "004.png").touch()
    (output / "summary.json").write_text("none")
    ends = places(str(archive), str(output))
    parts = parts_of(ends, 10)
    assert [part.number for part in parts] == list(range(len(parts)))
    homes: dict[str, int] = {}
    for part in parts:
        kept = [Path(ends.kept(path) or "") for path in part.sources]
        keys = {clash_key(path) for path in kept if path.name}
        keys |= {key for key, _ in part.results}
        assert not keys & homes.keys()
        homes |= dict.fromkeys(keys, part.number)
        # Only one group may be larger than a part.
        assert len(part.sources) + len(part.results) <= 10 or len(keys) == 1
    results = {name: part.number for part in parts for _, name in part.results}
    assert results.keys() - {"gone.png"} == {
        "lake.jpg.png",
        "summer/003.png",
        "summer/deep/scan.007.png",
    }
    for name, number in results.items():
        assert homes[clash_key(Path(name))] == number


def test_results_inside_of_the_input_are_no_inputs(archive):
    output = archive / "out"
    output.mkdir()
    (output / "lake.png").write_text("result")
    (part,) = parts_of(places(str(archive), str(output)), 1000)
    assert not [path for path in part.sources if path.startswith(str(output))]
    assert [name for _, name in part.results] == ["lake.png"]


def test_a_place_that_cannot_be_listed_is_named(tmp_path):
    nowhere = Places("nowhere://photos/", "nowhere://photos/**", f"{tmp_path}/")
    with pytest.raises(ColorizerError, match=r"names cannot be listed: .*filesystem"):
        parts_of(nowhere, 10)


def test_a_pattern_of_a_path_matches_that_path(archive, tmp_path):
    ends = places(str(archive / "lake.jpg"), str(tmp_path / "out"))
    assert ends.pattern == literally(str(archive / "lake.jpg"))
    assert [part.sources for part in parts_of(ends, 10)] == [[str(archive / "lake.jpg")]]
