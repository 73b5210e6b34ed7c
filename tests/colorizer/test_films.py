"""Films: what the coloured one keeps of its original, steady colours, resuming, damaged files."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from film_making import Recipe, frame_times, make_film

from colorizer.colorizing.inputs import Source
from colorizer.colorizing.outputs import Job
from colorizer.colorizing.painting import lay_on
from colorizer.films import pipeline
from colorizer.films.colours import Colours, Painter
from colorizer.films.parts import parts_folder
from colorizer.films.pipeline import colorize_film
from colorizer.films.reading import Film
from colorizer.films.smoothing import NEW_SHARE, MotionFinder, steadied
from colorizer.films.writing import ENCODER_OPTIONS
from colorizer.inference import Colorizer, load
from pipelines.errors import PhotoError

BT709_LIMITED = Colours(matrix=1, full_range=False, primaries=1, transfer=1)


@pytest.fixture(scope="module")
def network(tiny_run: Path) -> Colorizer:
    return load(tiny_run)


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


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_all_but_the_colours_stays(
    network: Colorizer, photo: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    # Matroska counts milliseconds.
    base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    ticks = [0, 3, 4, 9, 30, 31, 32, 50, 51, 80]
    times = [tick * int(1 / base) // 100 for tick in ticks]
    path = make_film(tmp_path / f"old{suffix}", photo, Recipe(times, base, turn=90))
    target = tmp_path / "out" / path.name
    colorize_film(network, Job(Source(path, Path(path.name)), target), 1.0, 8, resume=False)
    assert frame_times(target) == frame_times(path) == [time * base for time in times]
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
    plain = make_film(tmp_path / "plain.mkv", photo)
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
    # Most of what stood six pixels further right.
    expected = (1 - NEW_SHARE) * np.roll(ramp, -6, axis=1)
    assert np.abs(followed - expected)[16:112, 16:104].mean() < 0.03


def test_what_comes_from_outside_is_not_recognised(photo: np.ndarray) -> None:
    before, now = photo[:128, 30:158], photo[:128, :128]
    motion = MotionFinder().between(np.ascontiguousarray(before), np.ascontiguousarray(now))
    x, y = motion.sources[..., 0], motion.sources[..., 1]
    outside = (x <= -1) | (x >= 128) | (y <= -1) | (y >= 128)
    assert outside.any() and not outside.all()
    assert (motion.recognised[outside] == 0).all()
    assert ((motion.recognised >= 0) & (motion.recognised <= 1)).all()


def test_a_painter_keeps_nothing_of_the_frame_before() -> None:
    random = np.random.default_rng(1)
    painter = Painter(BT709_LIMITED, 1.0)
    lumas = random.integers(16, 236, (2, 128, 192), np.uint8)
    abs_ = random.uniform(-0.3, 0.3, (2, 64, 64, 2)).astype(np.float32)
    both = [
        painter.paint(luma, luma[::2, ::2].copy(), ab) for luma, ab in zip(lumas, abs_, strict=True)
    ]
    for luma, ab, planes in zip(lumas, abs_, both, strict=True):
        alone = Painter(BT709_LIMITED, 1.0).paint(luma, luma[::2, ::2].copy(), ab)
        for plane, expected in zip(planes, alone, strict=True):
            np.testing.assert_array_equal(plane, expected)


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
    path = make_film(
        tmp_path / "old.mp4", photo, Recipe(tuple(range(0, 60 * 512, 512)), sound=False)
    )
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
    path = make_film(tmp_path / "old.mp4", photo, Recipe(sound=False))
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
    path = make_film(tmp_path / "old.mp4", photo)
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
    whole = make_film(tmp_path / "whole.mkv", photo, Recipe(times, codec="mpeg4"))
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
    kept = frame_times(tmp_path / "out" / path.name)
    assert 30 < len(kept) < 100
    assert kept == frame_times(path)


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
    path = make_film(tmp_path / f"old{odd.suffix}", photo, odd.recipe)
    target = _colour(network, path)
    assert target.suffix == ".mkv"
    assert frame_times(target) == frame_times(path)
    with av.open(path) as original, av.open(target) as coloured:
        frame, was = next(coloured.decode(video=0)), next(original.decode(video=0))
        assert (frame.width, frame.height) == odd.size
        assert frame.color_range == odd.range
        gray = was.to_ndarray(format="gray").astype(float)
        # The light stays, in the right range.
        assert np.abs(frame.to_ndarray(format="gray") - gray).mean() < 8


def test_frames_are_seen_upright(photo: np.ndarray, tmp_path: Path) -> None:
    plain = make_film(tmp_path / "plain.mp4", photo, Recipe(size=(64, 64), still=True))
    turned = make_film(tmp_path / "turned.mp4", photo, Recipe(size=(64, 64), still=True, turn=90))
    with Film(plain, 32) as one, Film(turned, 32) as other:
        upright, seen = next(one.frames()).gray, next(other.frames()).gray
    assert np.abs(np.rot90(upright).astype(int) - seen).max() <= 2
