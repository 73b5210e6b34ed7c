"""Files, folders and globs: what is found, and the names that results get."""

import os
from pathlib import Path

import pytest

from colorizer.colorizing.inputs import Source, find_sources
from colorizer.colorizing.outputs import name_outputs
from pipelines.errors import UsageError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "summer/lake.jpg", "summer/deep/ảnh.webp"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "album" / "scan").write_bytes(PNG)
    (tmp_path / "album" / "notes.txt").write_text("about")
    (tmp_path / "album" / "._b.jpg").touch()
    (tmp_path / "album" / ".cache").mkdir()
    (tmp_path / "album" / ".cache" / "c.jpg").touch()
    return Path("album")


def _kept(inputs: list[str], output: Path = Path("out")) -> list[str]:
    return [source.kept.as_posix() for source in find_sources(inputs, output).sources]


def _names(sources: list[Source], suffix: str = ".png", **options: object) -> list[str]:
    jobs, errors = name_outputs(sources, Path("out"), suffix, options.get("inputs", []))
    assert errors == []
    return [job.target.relative_to("out").as_posix() for job in jobs]


def _sources(*names: str) -> list[Source]:
    return [Source(Path(name), Path(name).relative_to(Path(name).parts[0])) for name in names]


def test_folder_with_what_lies_below(album: Path) -> None:
    found = find_sources(["album"], Path("out"))
    assert [source.kept.as_posix() for source in found.sources] == [
        "a.PNG",
        "b.jpg",
        "scan",
        "summer/lake.jpg",
        "summer/deep/ảnh.webp",
    ]
    assert [path.name for path in found.passed_over] == ["._b.jpg", "notes.txt"]
    assert found.errors == []


def test_named_files_are_taken_whatever_they_are(album: Path) -> None:
    assert _kept(["album/notes.txt", "album/._b.jpg"]) == ["notes.txt", "._b.jpg"]


def test_each_photo_once(album: Path) -> None:
    assert _kept(["album/b.jpg", "./album/b.jpg", "album/../album/b.jpg"]) == ["b.jpg"]


def test_globs(album: Path) -> None:
    assert _kept(["album/*.jpg"]) == ["b.jpg"]
    assert _kept(["album/**/*.jpg"]) == ["b.jpg", "lake.jpg"]
    assert _kept(["alb*"]) == _kept(["album"])


def test_a_name_that_exists_is_no_glob(album: Path) -> None:
    Path("album/[b].jpg").touch()
    assert _kept(["album/[b].jpg"]) == ["[b].jpg"]


def test_inputs_that_lead_nowhere(album: Path) -> None:
    Path("broken.jpg").symlink_to("nowhere")
    found = find_sources(["none.jpg", "*.gif", "album/b.jpg", "broken.jpg"], Path("out"))
    assert [str(error) for error in found.errors] == [
        "none.jpg: no such file or folder",
        "*.gif: matches nothing",
    ]
    assert [source.path.name for source in found.sources] == ["b.jpg", "broken.jpg"]


def test_output_inside_the_input_is_not_searched(album: Path) -> None:
    output = album / "coloured"
    output.mkdir()
    (output / "b.png").touch()
    assert "coloured/b.png" not in _kept(["album"], output)
    with pytest.raises(UsageError, match="choose another"):
        _kept(["album/coloured"], output)


def test_linked_folders_are_entered_once(album: Path) -> None:
    (album / "loop").symlink_to("..", target_is_directory=True)
    (album / "summer2").symlink_to("summer", target_is_directory=True)
    kept = _kept(["album"])
    assert kept.count("b.jpg") == 1
    assert sum(name.endswith("lake.jpg") for name in kept) == 1


def test_special_files_are_passed_over(album: Path) -> None:
    os.mkfifo(album / "pipe")
    assert "pipe" in [path.name for path in find_sources(["album"], Path("out")).passed_over]


def test_short_names_and_sub_folders() -> None:
    sources = _sources("x/a.jpg", "x/summer/a.jpg", "x/Huế 1968. tết.tif", "x/no_extension")
    expected = ["a.png", "summer/a.png", "Huế 1968. tết.png", "no_extension.png"]
    assert _names(sources) == expected
    assert _names(sources[:1], suffix=".jpg") == ["a.jpg"]


def test_collisions_get_the_full_source_name() -> None:
    sources = _sources("x/a.jpg", "x/a.png", "x/b.jpg")
    assert _names(sources) == ["a.jpg.png", "a.png.png", "b.png"]


def test_collisions_of_full_names_get_the_folder() -> None:
    sources = _sources("x/a.jpg", "y/a.jpg")
    assert _names(sources) == ["x/a.jpg.png", "y/a.jpg.png"]
    far = [Source(Path(f"{top}/x/a.jpg"), Path("a.jpg")) for top in "pq"]
    assert _names(far) == ["p/x/a.jpg.png", "q/x/a.jpg.png"]


def test_a_full_name_may_be_anothers_short_one() -> None:
    sources = _sources("x/a.jpg", "x/a.png", "x/a.jpg.gif")
    assert _names(sources) == ["a.jpg.png", "a.png.png", "a.jpg.gif.png"]


def test_names_that_some_file_systems_hold_for_one() -> None:
    assert _names(_sources("x/A.jpg", "x/a.png")) == ["A.jpg.png", "a.png.png"]
    assert _names(_sources("x/\u1ebf.jpg", "x/e\u0302\u0301.png")) == [
        "\u1ebf.jpg.png",
        "e\u0302\u0301.png.png",
    ]
    # Here the file system has shown that it tells them apart.
    assert _names(_sources("x/A.jpg", "x/a.jpg")) == ["A.png", "a.png"]


def test_inputs_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    out.mkdir()
    (out / "a.png").touch()
    (out / "b.png").touch()
    Path("link.jpg").symlink_to("out/b.png")
    os.link(out / "b.png", out / "c.png")
    sources = [
        Source(out / "a.png", Path("a.png")),
        Source(Path("link.jpg"), Path("b.jpg")),
        Source(Path("c.jpg"), Path("c.jpg")),
    ]
    assert _names(sources) == ["a.png.png", "link.jpg.png", "c.jpg.png"]
    (out / "notes.png").touch()
    note = [Source(Path("notes.jpg"), Path("notes.jpg"))]
    assert _names(note) == ["notes.png"]
    assert _names(note, inputs=[out / "notes.png"]) == ["notes.jpg.png"]


def test_no_name_left_is_an_error(tmp_path: Path) -> None:
    source = Source(tmp_path / "a.jpg", Path("a.jpg"))
    output = tmp_path / "out"
    blocked = [output / "a.png", output / "a.jpg.png"]
    for folders in range(1, len(tmp_path.parts)):
        tail = Path(*tmp_path.parts[-folders:])
        blocked.append(output / tail / "a.jpg.png")
    for path in blocked:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    jobs, errors = name_outputs([source], output, ".png", blocked)
    assert jobs == []
    assert "no name is left" in str(errors[0])


def test_variants_have_numbers_and_go_on_together(album: Path) -> None:
    sources = _sources("x/lake.jpg", "x/lake.tif", "x/pond.jpg", "x/pond.1.jpg")
    jobs, errors = name_outputs(sources, Path("out"), ".png", [], 2)
    assert errors == []
    named = [(job.target.name, job.variant) for job in jobs]
    assert named == [
        (f"{stem}.{number}.png", number)
        for stem in ("lake.jpg", "lake.tif", "pond", "pond.1")
        for number in (1, 2)
    ]


def test_variants_overwrite_no_input(album: Path) -> None:
    # One of the two would lie on an input: both move on.
    Path("album/b.2.png").write_bytes(PNG)
    sources = find_sources(["album/b.jpg", "album/b.2.png"], Path("out")).sources
    jobs, errors = name_outputs(sources, Path("album"), ".png", [], 2)
    assert errors == []
    assert [job.target.name for job in jobs] == [
        "b.jpg.1.png",
        "b.jpg.2.png",
        "b.2.1.png",
        "b.2.2.png",
    ]
