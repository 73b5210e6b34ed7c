"""Films: what the coloured one keeps of its original, steady colours, resuming, damaged files."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation

from colorizer.colorizing.inputs import Source
from colorizer.colorizing.outputs import Job
from colorizer.colorizing.painting import lay_on
from colorizer.films import pipeline
from colorizer.films.colours import Colours, Painter
from colorizer.films.parts import parts_folder
from colorizer.films.pipeline import colorize_film
from colorizer.films.reading import Film
from colorizer.films.smoothing import MotionFinder, steadied
from colorizer.films.writing import ENCODER_OPTIONS
from colorizer.inference import Colorizer, load
from pipelines.errors import PhotoError

BT709_LIMITED = Colours(matrix=1, full_range=False, primaries=1, transfer=1)


@pytest.fixture(scope="module")
def network(tiny_run: Path) -> Colorizer:
    return load(tiny_run)


@pytest.fixture(scope="module")
def photo(sample_photos: Path) -> np.ndarray:
    """uint8 (256, 256): something to pan over."""
    gray = cv2.imread(str(min((sample_photos / "train").rglob("*.jpg"))), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(gray, (256, 256), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Recipe:
    """A film to make: by default 24 frames of a pan at 25 frames a second, with sound."""

    times: Sequence[int] = tuple(range(0, 24 * 512, 512))
    time_base: Fraction = Fraction(1, 12800)
    size: tuple[int, int] = (96, 64)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    sound: bool = True
    turn: int = 0
    full_range: bool = False
    matrix: int = 1
    still: bool = False


def _make(path: Path, photo: np.ndarray, recipe: Recipe = Recipe()) -> Path:
    width, height = recipe.size
    with av.open(path, "w") as film:
        film.metadata["title"] = "Huế 1968"
        picture = film.add_stream(recipe.codec, rate=25)
        context = picture.codec_context
        context.width, context.height, context.pix_fmt = width, height, recipe.pixel_format
        context.time_base = picture.time_base = recipe.time_base
        context.color_range = 2 if recipe.full_range else 1
        context.colorspace = recipe.matrix
        context.sample_aspect_ratio = Fraction(16, 15)
        if recipe.turn:
            picture.set_display_rotation(recipe.turn)
        sound = film.add_stream("aac", rate=48000, layout="stereo") if recipe.sound else None
        if sound is not None:
            sound.metadata["language"] = "vie"
            seconds = float(recipe.times[-1] * recipe.time_base)
            for first in range(0, int(48000 * seconds), 1024):
                tone = np.sin(np.arange(first, first + 1024) / 20).astype(np.float32) / 4
                samples = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
                samples.sample_rate, samples.pts = 48000, first
                film.mux(sound.encode(samples))
            film.mux(sound.encode())
        for number, moment in enumerate(recipe.times):
            shift = 0 if recipe.still else number
            gray = np.ascontiguousarray(photo[40 : 40 + height, shift : shift + width])
            full = av.VideoFrame.from_ndarray(gray, "gray")
            frame = full.reformat(
                format=recipe.pixel_format, dst_color_range=2 if recipe.full_range else 1
            )
            frame.pts, frame.time_base = moment, recipe.time_base
            film.mux(picture.encode(frame))
        film.mux(picture.encode())
    return path


def _colour(network: Colorizer, path: Path, *, resume: bool = False) -> Path:
    target = (
        path.parent / "out" / path.with_suffix(".mkv" if path.suffix != ".mp4" else ".mp4").name
    )
    colorize_film(network, Job(Source(path, Path(path.name)), target), 1.0, 8, resume=resume)
    return target


def _packets(path: Path, kind: str) -> list[tuple[bytes, int | None, int | None]]:
    with av.open(path) as film:
        packets = film.demux(**{kind: 0})
        return [(bytes(packet), packet.pts, packet.duration) for packet in packets if packet.size]


def _times(path: Path) -> list[Fraction]:
    with av.open(path) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_all_but_the_colours_stays(
    network: Colorizer, photo: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    # Matroska counts milliseconds.
    base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    ticks = [0, 3, 4, 9, 30, 31, 32, 50, 51, 80]
    times = [tick * int(1 / base) // 100 for tick in ticks]
    path = _make(tmp_path / f"old{suffix}", photo, Recipe(times, base, turn=90))
    target = tmp_path / "out" / path.name
    colorize_film(network, Job(Source(path, Path(path.name)), target), 1.0, 8, resume=False)
    assert _times(target) == _times(path) == [time * base for time in times]
    sound = _packets(path, "audio")
    assert len(sound) > 30
    assert _packets(target, "audio") == sound
    with av.open(path) as original, av.open(target) as coloured:
        assert coloured.metadata["title"] == "Huế 1968"
        told = {key.lower(): value for key, value in coloured.metadata.items()}
        assert "they are guesses" in told["comment"] and "photo-colorizer 0." in told["comment"]
        assert [stream.type for stream in coloured.streams] == ["video", "audio"]
        assert coloured.streams.audio[0].language == "vie"
        picture, before = coloured.streams.video[0], original.streams.video[0]
        assert picture.time_base == before.time_base
        assert picture.sample_aspect_ratio == before.sample_aspect_ratio == Fraction(16, 15)
        assert picture.codec_context.color_range == 1
        assert picture.codec_context.colorspace == 1
        frame, was = next(coloured.decode(video=0)), next(original.decode(video=0))
        assert frame.rotation == was.rotation == 90
        assert (frame.width, frame.height) == (96, 64)
    assert [entry.name for entry in target.parent.iterdir()] == [path.name]


def test_subtitles_and_attachments_are_copied(
    network: Colorizer, photo: np.ndarray, tmp_path: Path
) -> None:
    plain = _make(tmp_path / "plain.mkv", photo)
    path = tmp_path / "old.mkv"
    (tmp_path / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,600\nXin chào\n")
    with (
        av.open(plain) as source,
        av.open(tmp_path / "words.srt") as words,
        av.open(path, "w") as film,
    ):
        streams = {stream: film.add_stream_from_template(stream) for stream in source.streams}
        streams[words.streams[0]] = film.add_stream_from_template(words.streams[0])
        film.add_attachment("font.ttf", "application/x-truetype-font", b"no font")
        for packet in (*words.demux(), *source.demux()):
            if packet.size:
                packet.stream = streams[packet.stream]
                film.mux(packet)
    target = _colour(network, path)
    assert _packets(target, "subtitles") == _packets(path, "subtitles")
    assert len(_packets(target, "subtitles")) == 1
    with av.open(target) as film:
        assert film.streams.attachments[0].data == b"no font"


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6])
def test_painting_equals_that_of_photos(sample_photos: Path, full_range: bool, matrix: int) -> None:
    gray = cv2.imread(str(min((sample_photos / "val").rglob("*.jpg"))), cv2.IMREAD_GRAYSCALE)
    gray = gray[: gray.shape[0] // 2 * 2, : gray.shape[1] // 2 * 2]
    height, width = gray.shape
    ab = np.random.default_rng(1).uniform(-0.15, 0.15, (4, 4, 2)).astype(np.float32)
    ab = cv2.resize(ab, (64, 64), interpolation=cv2.INTER_CUBIC)
    low, span = (0, 255) if full_range else (16, 219)
    luma = np.round(low + gray * (span / 255)).astype(np.uint8)
    painter = Painter(Colours(matrix, full_range, 1, 1), 1.0)
    small = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes = painter.paint(luma, small, ab)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        rows[: samples.shape[0], : samples.shape[1]] = samples
    frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
    exactly = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BILINEAR
    painted = frame.to_ndarray(format="rgb24", interpolation=exactly).astype(float)
    exact = lay_on(np.repeat(gray[..., None], 3, axis=-1), ab).astype(float)
    # What 8 bits and coarser chroma cost; a wrong matrix or range costs 5 and more.
    assert np.abs(painted - exact).mean() < 2.0
    assert np.abs((painted - exact).mean((0, 1))).max() < 0.7


def test_gray_stays_gray_and_luma_as_it_was() -> None:
    luma = np.arange(256, dtype=np.uint8).repeat(64).reshape(128, 128)
    painted, cb, cr = Painter(BT709_LIMITED, 0.0).paint(
        luma, luma[::2, ::2].copy(), np.full((64, 64, 2), 0.5, np.float32)
    )
    assert (painted == luma).all()
    assert (cb == 128).all() and (cr == 128).all()


def test_colours_follow_motion(photo: np.ndarray) -> None:
    before, now = photo[:128, :128], photo[:128, 6:134]
    motion = MotionFinder().between(np.ascontiguousarray(before), np.ascontiguousarray(now))
    assert not motion.is_cut
    assert motion.recognised[:, :110].mean() > 0.9
    ramp = np.zeros((128, 128, 2), np.float32)
    ramp[...] = np.linspace(-1, 1, 128)[None, :, None]
    followed = steadied(np.zeros_like(ramp), ramp, motion)
    # Nine tenths of what stood six pixels further right.
    expected = 0.9 * np.roll(ramp, -6, axis=1)
    assert np.abs(followed - expected)[16:112, 16:104].mean() < 0.03


def test_brightness_flicker_is_no_cut_but_another_scene_is(photo: np.ndarray) -> None:
    one, other = photo[:128, :128].copy(), photo[128:, 128:].copy()
    brighter = np.clip(one.astype(int) + 25, 0, 255).astype(np.uint8)
    assert not MotionFinder().between(one, brighter).is_cut
    motion = MotionFinder().between(one, other)
    assert motion.is_cut


def test_a_killed_run_goes_on_to_the_same_film(
    network: Colorizer, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PART_FRAMES", 16)
    # With it x264 itself gives frames as small as these other bits in one run of ten.
    monkeypatch.setitem(ENCODER_OPTIONS, "mbtree", "0")
    path = _make(tmp_path / "old.mp4", photo, Recipe(tuple(range(0, 60 * 512, 512)), sound=False))
    whole = _colour(network, path).read_bytes()
    (tmp_path / "out" / "old.mp4").unlink()

    painted = []
    paint = Painter.paint

    def interrupted(painter: Painter, *planes: np.ndarray) -> object:
        painted.append(1)
        if len(painted) == 40:
            raise KeyboardInterrupt
        return paint(painter, *planes)

    monkeypatch.setattr(Painter, "paint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _colour(network, path)
    (folder,) = (tmp_path / "out").iterdir()
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "000000.nut",
        "000001.npz",
        "000001.nut",
        "film.json",
        "lock",
    ]
    # Another frame may be painted while the interruption comes through.
    before = len(painted)
    target = _colour(network, path, resume=True)
    assert target.read_bytes() == whole
    # Those that were not in a part that is whole.
    assert len(painted) - before == 28
    assert [entry.name for entry in target.parent.iterdir()] == ["old.mp4"]


def test_parts_of_other_settings_are_not_gone_on_from(
    network: Colorizer, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _make(tmp_path / "old.mp4", photo, Recipe(sound=False))
    job = Job(Source(path, Path(path.name)), tmp_path / "out" / "old.mp4")

    def fail(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "join", fail)
        with pytest.raises(KeyboardInterrupt):
            colorize_film(network, job, 2.0, 8, resume=False)
    colorize_film(network, job, 1.0, 8, resume=True)
    resumed = job.target.read_bytes()
    colorize_film(network, job, 1.0, 8, resume=False)
    assert resumed == job.target.read_bytes()


def test_one_run_at_a_time(network: Colorizer, photo: np.ndarray, tmp_path: Path) -> None:
    path = _make(tmp_path / "old.mp4", photo)
    with (
        parts_folder(tmp_path / "out" / "old.mp4"),
        pytest.raises(PhotoError, match="another run is at work"),
    ):
        _colour(network, path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_breaks_off_is_coloured_as_far_as_it_goes(
    network: Colorizer, photo: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    times = tuple(range(0, 120 * 512, 512))
    whole = _make(tmp_path / "whole.mkv", photo, Recipe(times, codec="mpeg4"))
    path = tmp_path / f"old{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    with av.open(whole) as source, av.open(path, "w", options=options) as film:
        streams = [film.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                film.mux(packet)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(PhotoError, match=r"ends after 0:0\d\.\d of 0:04\.\d: .* holds what there"):
        _colour(network, path)
    kept = _times(tmp_path / "out" / path.name)
    assert 30 < len(kept) < 100
    assert kept == _times(path)


@dataclass(frozen=True)
class Odd:
    """A kind of film that is rare, and what its coloured one is like."""

    recipe: Recipe
    suffix: str = ".mkv"
    range: int = 1
    size: tuple[int, int] = (96, 64)


@pytest.mark.parametrize(
    "odd",
    [
        Odd(Recipe(codec="ffv1", pixel_format="gray", full_range=True), range=2),
        Odd(Recipe(codec="ffv1", pixel_format="yuv422p10le")),
        Odd(Recipe(codec="ffv1", pixel_format="yuv444p", size=(95, 63)), size=(95, 63)),
        Odd(Recipe(codec="mjpeg", pixel_format="yuvj420p", full_range=True, matrix=5), range=2),
        Odd(Recipe(codec="mpeg4", time_base=Fraction(1, 25), times=range(24)), suffix=".avi"),
        Odd(Recipe(codec="libvpx-vp9", sound=False), suffix=".webm"),
    ],
    ids=["gray", "10-bit", "odd", "full-range", "avi", "webm"],
)
def test_rare_kinds(network: Colorizer, photo: np.ndarray, tmp_path: Path, odd: Odd) -> None:
    path = _make(tmp_path / f"old{odd.suffix}", photo, odd.recipe)
    target = _colour(network, path)
    assert target.suffix == ".mkv"
    assert _times(target) == _times(path)
    with av.open(path) as original, av.open(target) as coloured:
        frame, was = next(coloured.decode(video=0)), next(original.decode(video=0))
        assert (frame.width, frame.height) == odd.size
        assert frame.color_range == odd.range
        gray = was.to_ndarray(format="gray").astype(float)
        # The light stays, in the right range.
        assert np.abs(frame.to_ndarray(format="gray") - gray).mean() < 8


def test_frames_are_seen_upright(photo: np.ndarray, tmp_path: Path) -> None:
    plain = _make(tmp_path / "plain.mp4", photo, Recipe(size=(64, 64), still=True))
    turned = _make(tmp_path / "turned.mp4", photo, Recipe(size=(64, 64), still=True, turn=90))
    with Film(plain, 32) as one, Film(turned, 32) as other:
        upright, seen = next(one.frames()).gray, next(other.frames()).gray
    assert np.abs(np.rot90(upright).astype(int) - seen).max() <= 2


Run = Callable[..., tuple[int, str, str]]


def test_bad_films_are_named_and_the_rest_goes_on(
    command: Run, photo: np.ndarray, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    (album / "summer").mkdir(parents=True)
    _make(album / "summer" / "lake.mp4", photo)
    cv2.imwrite(str(album / "lake.jpg"), photo)
    (album / "empty.mp4").touch()
    (album / "text.mkv").write_text("no film at all\n" * 100)
    with av.open(album / "sound.mkv", "w") as film:
        sound = film.add_stream("flac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), "s16", "mono")
        samples.sample_rate, samples.pts = 8000, 0
        film.mux(sound.encode(samples))
        film.mux(sound.encode())
    code, out, err = command("album", "--output", "out")
    assert code == 1
    assert out == "2 done, 0 skipped, 3 failed, 0 passed over: out\n"
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    invalid = "Invalid data found when processing input"
    assert sorted(lines) == [
        "error: album/empty.mp4: is empty (0 bytes)",
        "error: album/sound.mkv: holds no picture, only other streams",
        f"error: album/text.mkv: is no film, or is damaged ({invalid})",
    ]
    assert "Traceback" not in err
    written = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*"))
    assert written == ["lake.png", "summer", "summer/lake.mp4"]
    assert command("album/summer", "--output", "out", "--skip-existing")[1].startswith("1 done")
    assert command("album/summer", "--output", "out", "--skip-existing")[1].startswith(
        "0 done, 1 s"
    )


def test_films_of_one_name_get_names_of_their_own(
    command: Run, photo: np.ndarray, tmp_path: Path
) -> None:
    still = Recipe(times=range(3), time_base=Fraction(1, 25), codec="mpeg4", sound=False)
    for name in ("lake.avi", "lake.mkv", "lake.mp4"):
        _make(tmp_path / name, photo, still)
    code, _, err = command("lake.avi", "lake.mkv", "lake.mp4", "--output", "out")
    assert code == 0, err
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "lake.avi.mkv",
        "lake.mkv.mkv",
        "lake.mp4",
    ]
    # Beside themselves they would be overwritten.
    code, _, err = command("lake.mp4", "--output", ".")
    assert code == 0, err
    assert _times(tmp_path / "lake.mp4.mp4") == _times(tmp_path / "lake.mp4")


def test_the_missing_extra_is_one_line(
    command: Run, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path / "old.mp4", photo)
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = command("old.mp4", "--output", "out")
    assert (code, err) == (1, "error: to colour films, pip install 'photo-colorizer[video]'\n")


@pytest.mark.slow
def test_sigterm_keeps_what_is_whole(tiny_run: Path, photo: np.ndarray, tmp_path: Path) -> None:
    times = tuple(range(0, 800 * 512, 512))
    path = _make(tmp_path / "old.mp4", np.tile(photo, (1, 6)), Recipe(times, sound=False))
    words = ["colorizer.colorize", str(path), "--output", str(tmp_path / "out")]
    words = [sys.executable, "-m", *words, "--model", str(tiny_run), "--skip-existing"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.*/000000.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=30) == 143
    (folder,) = (tmp_path / "out").iterdir()
    assert not list(folder.glob("*partial*"))
    kept = len(list(folder.glob("*.nut")))
    assert kept >= 1
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert _times(tmp_path / "out" / "old.mp4") == _times(path)


def test_a_full_disk_is_one_line(tiny_run: Path, photo: np.ndarray, tmp_path: Path) -> None:
    path = _make(tmp_path / "old.mp4", photo)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000));"
        "from colorizer import colorize; colorize.main()"
    )
    words = [str(path), "--output", str(tmp_path / "out"), "--model", str(tiny_run)]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert errors[0].endswith("old.mp4: cannot be written: File too large"), errors
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out/*.mp4"))
