"""The Beam job on this machine's runner: names, pixels, errors, and going on after a kill."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from colorizer.colorize import Arguments, colorize_files
from colorizer.colorizing.inputs import Source
from colorizer.colorizing.outputs import clash_key, name_outputs, names_below
from colorizer.images.reading import Photo
from colorizer.inference import Colorizer
from colorizer.locks import used_alone
from models_export.batch import BatchConfig, colorize_archive
from models_export.batch_job import handler
from models_export.export import export_run
from pipelines.errors import ColorizerError, NoPhotosError, NotWrittenError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(tiny_run, tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Takes back what the command tells TensorFlow."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")


def draw(path: Path, size: tuple[int, int] = (60, 40), **options: object) -> None:
    seed = sum(path.as_posix().encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path, **options)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Photos that collide, that lie on their side, hidden ones, bad ones, and what is none."""
    album = tmp_path / "al[b]um"
    turned = Image.Exif()
    turned[0x0112] = 6
    draw(album / "lake.jpg")
    draw(album / "lake.png")
    draw(album / "summer" / "lake.jpg", exif=turned)
    draw(album / "summer" / "deep" / "ảnh cũ của bà ngoại – Huế.jpg")
    draw(album / "summer" / "clear.png")
    Image.new("LA", (30, 20), (90, 120)).save(album / "summer" / "clear.png")
    draw(album / "scan", format="TIFF")
    draw(album / ".thumbnails" / "lake.jpg")
    (album / "cut.jpg").write_bytes((album / "lake.jpg").read_bytes()[:500])
    (album / "empty.jpg").touch()
    (album / "notes.txt").write_text("none")
    return album


def batch(album: Path | str, output: Path, exported: Path, **further: object) -> BatchConfig:
    return BatchConfig(
        input=str(album),
        output=str(output),
        model=str(exported),
        **further,  # type: ignore[arg-type]
    )


def results(output: Path) -> dict[str, bytes]:
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and not path.name.endswith((".json", ".jsonl"))
    }


def failures(output: Path) -> dict[str, str]:
    files = output.glob("errors-*-of-*.jsonl")
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len({one["source"] for one in told}) == len(told)
    return {Path(one["source"]).name: one["reason"] for one in told}


@pytest.mark.parametrize(
    ("runner", "part_names"), [("DirectRunner", 10_000), ("DirectRunner", 6), ("FnApiRunner", 6)]
)
def test_names_pixels_and_errors_are_those_of_colorize(
    album, exported, tmp_path, capfd, monkeypatch, runner, part_names
):
    """In one part, in several, and as on other runners, which list the places themselves."""
    monkeypatch.setattr("models_export.batch.PART_NAMES", part_names)
    as_one, as_job = tmp_path / "one", tmp_path / "job"
    assert colorize_files(Arguments(inputs=(str(album),), output=as_one, model=exported)) == 1
    capfd.readouterr()
    assert colorize_archive(batch(album, as_job, exported, runner=runner)) == 1
    told = capfd.readouterr()
    assert told.out == f"6 done, 0 skipped, 2 failed, 2 passed over: {as_job}\n"
    assert f"error: {album / 'empty.jpg'}: is empty (0 bytes)" in told.err
    expected = results(as_one)
    assert {"lake.jpg.png", "lake.png.png", "summer/lake.png"} <= expected.keys()
    assert results(as_job) == expected
    with Image.open(as_job / "summer" / "lake.png") as upright:
        assert upright.size == (40, 60)
    reasons = failures(as_job)
    assert reasons.keys() == {"cut.jpg", "empty.jpg"} and "damaged or cut off" in reasons["cut.jpg"]
    (notes,) = as_job.glob("notes-*.jsonl")
    assert "laid on white" in notes.read_text()
    counts = {"done": 6, "skipped": 0, "passed over": 2, "failed": 2}
    assert [path.name for path in as_job.glob("summary*")] == ["summary.json"]
    assert json.loads((as_job / "summary.json").read_text()) == counts
    assert colorize_archive(batch(album, as_job, exported, runner=runner)) == 1
    assert "0 done, 6 skipped, 2 failed, 2 passed over" in capfd.readouterr().out
    assert results(as_job) == expected


def pixels(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


def test_a_second_run_does_what_is_missing(album, exported, tmp_path, capfd):
    output = tmp_path / "out"
    config = batch(album, output, exported, format="jpg", saturation=1.3)
    colorize_archive(config)
    first = results(output)
    times = {name: (output / name).stat().st_mtime_ns for name in first}
    (output / "summer" / "lake.jpg").unlink()
    # What a loss of power, and a kill while reports are written, leave behind.
    (output / "scan.jpg").write_bytes(b"")
    (output / "beam-temp-errors-7" / "part").mkdir(parents=True)
    draw(album / "cut.jpg")
    capfd.readouterr()
    assert colorize_archive(config) == 1
    assert "3 done, 4 skipped, 1 failed" in capfd.readouterr().out
    assert failures(output).keys() == {"empty.jpg"}
    again = results(output)
    assert again.pop("cut.jpg") and again.keys() == first.keys()
    redone = {name for name in first if (output / name).stat().st_mtime_ns != times[name]}
    assert redone == {"summer/lake.jpg", "scan.jpg"}
    for name, content in first.items():
        # In other company a photo's colours are rounded otherwise.
        apart = pixels(content) - pixels(again[name])
        assert np.abs(apart).max() <= (4 if name in redone else 0)
    assert not list(output.glob("beam-temp-*"))


def test_reports_that_cannot_be_written_are_told_in_one_line(album, exported, tmp_path, capfd):
    output = tmp_path
    # Room for the photos' names, and none for those that Beam gives to reports.
    while (room := os.pathconf("/", "PC_PATH_MAX") - 60 - len(os.fsencode(output)) - 1) > 0:
        output /= "o" * min(room, 200)
    with pytest.raises(NotWrittenError) as told:
        colorize_archive(batch(album, output, exported))
    assert str(told.value) == f"{output}/: cannot be written: File name too long"
    assert capfd.readouterr().err == ""
    assert not list(output.glob("beam-temp-*"))


def test_reports_that_cannot_be_renamed_are_told_in_one_line(exported, tmp_path, capfd):
    output = tmp_path / "out"
    (output / "errors-00000-of-00001.jsonl" / "taken").mkdir(parents=True)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "empty.jpg").touch()
    with pytest.raises(NotWrittenError) as told:
        colorize_archive(batch(tmp_path / "album", output, exported, runner="FnApiRunner"))
    assert str(told.value) == f"{output}/: cannot be written: Is a directory"
    assert capfd.readouterr().err == ""


def test_errors_in_the_code_are_told_in_full(exported, tmp_path, capfd, monkeypatch):
    def paint(*_: object, **__: object) -> np.ndarray:
        return np.zeros(1 // 0)

    monkeypatch.setattr(Colorizer, "paint", paint)
    # Beam leaves reports open that it has begun: nothing is to be reported here.
    draw(tmp_path / "album" / "lake.jpg")
    with pytest.raises(ColorizerError, match="the job failed: ZeroDivisionError"):
        colorize_archive(batch(tmp_path / "album", tmp_path / "out", exported))
    assert "in paint" in capfd.readouterr().err
    assert not list((tmp_path / "out").glob("beam-temp-*"))


def test_two_jobs_do_not_share_an_output(album, exported, tmp_path):
    output = tmp_path / "out"
    with used_alone(output), pytest.raises(ColorizerError, match="another process is at work"):
        colorize_archive(batch(album, output, exported))
    assert results(output) == {}


def test_a_glob_keeps_names_from_its_first_wildcard_on(album, exported, tmp_path, capfd):
    moved = album.rename(album.with_name("plain"))
    assert colorize_archive(batch(f"{moved}/**/lake.*", tmp_path / "out", exported)) == 0
    assert "1 done" in capfd.readouterr().out
    assert results(tmp_path / "out").keys() == {"summer/lake.png"}
    # An output inside of the input is not searched.
    assert colorize_archive(batch(moved, moved / "out", exported)) == 1
    assert colorize_archive(batch(moved, moved / "out", exported)) == 1
    assert "0 done, 6 skipped, 2 failed, 2 passed over" in capfd.readouterr().out


def test_a_place_that_cannot_be_written_is_an_error_of_that_photo(album, exported, tmp_path):
    output = tmp_path / "out"
    (output / "scan.png" / "taken").mkdir(parents=True)
    assert colorize_archive(batch(album, output, exported)) == 1
    assert "cannot be written" in failures(output)["scan"]
    assert len(results(output)) == 5


def test_what_cannot_begin_is_said(album, exported, tmp_path):
    with pytest.raises(UsageError, match="holds the photos to colour"):
        colorize_archive(batch(album, album, exported))
    with pytest.raises(UsageError, match="holds the photos to colour"):
        colorize_archive(batch(f"{tmp_path}/*/lake.jpg", tmp_path, exported))
    with pytest.raises(UsageError, match="--runner NoRunner: "):
        colorize_archive(batch(album, tmp_path / "out", exported, runner="NoRunner"))
    with pytest.raises(UsageError, match="filesystem"):
        colorize_archive(batch("nowhere://photos", tmp_path / "out", exported))
    with pytest.raises(UsageError, match="one style only"):
        colorize_archive(batch(album, tmp_path / "out", exported, style="vivid"))
    with pytest.raises(ColorizerError, match="no such folder"):
        colorize_archive(batch(album, tmp_path / "out", tmp_path / "none"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(NoPhotosError, match="no photos found"):
        colorize_archive(batch(tmp_path / "none", tmp_path / "out", exported))


def start(album: Path, output: Path, exported: Path, *flags: str) -> subprocess.Popen[str]:
    words = ["--input", album, "--output", output, "--model", exported, *flags]
    return subprocess.Popen(
        [sys.executable, "-m", "models_export.batch", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_results(output: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(output.rglob("[!.]*.png"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_job_goes_on_where_it_stopped(exported, tmp_path, capfd, sent):
    album, output = tmp_path / "album", tmp_path / "out"
    draw(album / "first.jpg", (400, 300))
    for number in range(400):
        copy = album / f"{number % 7}" / f"{number}.jpg"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(album / "first.jpg", copy)
    (album / "3" / "empty.jpg").touch()
    job = start(album, output, exported)
    await_results(output, 8)
    job.send_signal(sent)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[sent]
    assert "Traceback" not in errors
    whole = {path: path.stat().st_mtime_ns for path in output.rglob("[!.]*.png")}
    assert 8 <= len(whole) < 401
    assert colorize_archive(batch(album, output, exported)) == 1
    assert f"{401 - len(whole)} done, {len(whole)} skipped, 1 failed" in capfd.readouterr().out
    assert all(path.stat().st_mtime_ns == written for path, written in whole.items())
    made = list(output.rglob("[!.]*.png"))
    assert len(made) == 401 and len({path.read_bytes() for path in made}) == 1
    assert failures(output).keys() == {"empty.jpg"}


def test_beams_options_reach_it(album, exported, tmp_path):
    output = tmp_path / "out"
    processes = ["--direct_running_mode", "multi_processing", "--direct_num_workers=2"]
    job = start(album, output, exported, *processes)
    told, errors = job.communicate(timeout=120)
    assert job.returncode == 1, errors
    assert told == f"6 done, 0 skipped, 2 failed, 2 passed over: {output}\n"
    assert len(results(output)) == 6 and "Traceback" not in errors


def test_groups_are_named_as_the_whole_folder_is():
    choose = random.Random(0)
    parts = ["lake", "Lake", "lake.jpg", "a.b", "ả", "ả"]
    suffixes = ["", ".jpg", ".JPG", ".tif", ".png"]
    for _ in range(100):
        kept = sorted(
            {
                Path(choose.choice(["", "summer"]))
                / (choose.choice(parts) + choose.choice(suffixes))
                for _ in range(12)
            }
        )
        sources = [Source(Path("/nowhere/photos") / path, path) for path in kept]
        jobs, errors = name_outputs(sources, Path("/nowhere/out"), ".png", [])
        whole = {job.source.kept: job.target.relative_to("/nowhere/out") for job in jobs}
        groups = defaultdict(list)
        for path in kept:
            groups[clash_key(path)].append(path)
        named = {
            path: name
            for group in groups.values()
            for path, name in zip(group, names_below(group, ".png"), strict=True)
        }
        assert not errors and named == whole


def opened(width: int, height: int, colour: str = "gray") -> handler.Opened:
    image = Image.new("RGB", (width, height), colour)
    return handler.Opened("photo", "photo.png", Photo(Path("photo"), image, b"", None, ()))


def test_batches_are_bounded_in_number_and_in_pixels(monkeypatch):
    monkeypatch.setattr(handler, "BATCH_PIXELS", 4_800)
    colours = handler.ColorizerHandler(None, None, 1.0, 8)
    photos = [opened(2, 2)] * 20 + [opened(48, 40)] * 4 + [opened(48, 120)] * 2
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sizes = (
            pipeline
            | beam.Create([photos])
            | beam.FlatMap(list)
            | beam.BatchElements(**colours.batch_elements_kwargs())
            | beam.Map(len)
        )
        assert_that(sizes, equal_to([8, 8, 5, 2, 1, 1, 1]))


def test_memory_and_models_that_fail_are_named_photo_by_photo():
    def predict(lightness: np.ndarray) -> np.ndarray:
        if len(lightness) > 1:
            raise MemoryError
        if lightness.max() > 0.9:
            return np.full((1, 64, 64, 2), np.nan, np.float32)
        return np.zeros((1, 64, 64, 2), np.float32)

    model = Colorizer(predict, 64, {"mean_ab": [0.0, 0.0]})
    colours = handler.ColorizerHandler(None, None, 1.0, 8)
    good, bad = colours.run_inference([opened(9, 9), opened(9, 9, "white")], model)
    assert good.error is None and good.rgb.shape == (9, 9, 3)
    assert bad.rgb is None and "NaN or infinite colours" in bad.error
