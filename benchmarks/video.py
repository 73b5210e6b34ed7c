"""Films: how far the colours flicker, what steadying costs, how fast the stages overlap.

    python benchmarks/video.py CLIP...

Clips are films in colour. Each is made gray (the same L), coloured frame by frame and steadied, and
both are held against each other and against the true colours. Then the first clip, enlarged, goes
through each stage alone and through all of them as `colorize` runs them.

Flicker is the warping error of Lai et al. 2018 ("Learning Blind Video Temporal Consistency") in ab:
mean |ab(t) - ab(t-1) moved along| over pixels that are not occluded (Ruder et al. 2016: forward and
backward flow agree, no motion boundary). The flow is not that of the steadying: it is computed on
the true film's gray at full size, by DIS in its finest preset and by Farneback's method. Cuts are
left out of all alike.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any

import av
import cv2
import numpy as np
import tyro
from machine import describe_machine
from pydantic import BaseModel, ConfigDict, Field
from step_sides import available_cores

from colorizer.colorizing.inputs import Source
from colorizer.colorizing.outputs import Job
from colorizer.colorizing.painting import lay_on
from colorizer.command import parse, run
from colorizer.films.colours import WEIGHTS, Colours, Painter
from colorizer.films.parts import Parts
from colorizer.films.pipeline import Encoding, colorize_film, grouped, opencv_in_one_thread
from colorizer.films.reading import Film
from colorizer.films.smoothing import MotionFinder
from colorizer.films.steadying import Steadier
from colorizer.inference import Colorizer, load_for_films
from pipelines import color

BATCH = 8
# Frames that are encoded alone: held in memory, 4 MB each.
ENCODED = 256
BT709 = Colours(matrix=1, full_range=False, primaries=1, transfer=1)
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Arguments(BaseModel):
    """What the command line gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: Annotated[tyro.conf.Positional[tuple[Path, ...]], Field(min_length=1)]
    """Films in colour."""
    frames: int = 100
    """Frames of each clip to look at."""
    width: int = 640
    """Wider clips are shrunk to this width where quality is measured."""
    speed_frames: int = 500
    """Frames of 1920 x 1080 to measure speed with; 0 leaves speed out."""
    style: str | None = None
    """As `colorize --style`."""
    no_quality: tyro.conf.FlagCreatePairsOff[bool] = False
    """Measures speed only."""


@dataclass
class Clip:
    """A film in colour: float32 Lab (N, H, W, 3) as float16, and its gray, uint8 (N, H, W)."""

    name: str
    lab: np.ndarray
    gray: np.ndarray


def main() -> None:
    """Runs the measurement."""
    run(_command)


def _command() -> None:
    arguments = parse(
        Arguments, prog="python benchmarks/video.py", description="Measure films; see the module."
    )
    print(f"{describe_machine()}; {available_cores()} cores; PyAV {av.__version__}")
    network = load_for_films().styled(arguments.style)
    if not arguments.no_quality:
        clips = [_read(path, arguments) for path in arguments.clips]
        for clip in clips:
            measure_flicker(network, clip)
            measure_flicker(network, aged(clip))
        measure_cuts(clips)
        measure_painting(clips)
    if arguments.speed_frames:
        measure_speed(network, arguments)


def _read(path: Path, arguments: Arguments) -> Clip:
    labs, grays = [], []
    with av.open(path) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number == arguments.frames:
                break
            shrunk = min(1.0, arguments.width / frame.width)
            size = [round(side * shrunk / 2) * 2 for side in (frame.width, frame.height)]
            rgb = frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray()
            lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
            labs.append(lab.astype(np.float16))
            grays.append(_gray(lab[..., 0]))
    return Clip(path.stem, np.stack(labs), np.stack(grays))


def _gray(lightness: np.ndarray) -> np.ndarray:
    lab = np.zeros((*lightness.shape, 3), np.float32)
    lab[..., 0] = lightness
    gray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[..., 1]
    return np.round(gray * 255).astype(np.uint8)


def aged(clip: Clip) -> Clip:
    """The same as an old film would be: brightness flickers by 4 %, grain of 8 levels."""
    random = np.random.default_rng(1)
    grays = []
    for gray in clip.gray:
        grain = random.normal(0, 8, gray.shape)
        grays.append(np.clip(gray * (1 + random.normal(0, 0.04)) + grain, 0, 255).astype(np.uint8))
    return Clip(f"{clip.name}, aged", clip.lab, np.stack(grays))


def measure_flicker(network: Colorizer, clip: Clip) -> None:
    """Prints flicker and errors of a clip, coloured in several ways."""
    side = network.image_size
    small = [cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA) for gray in clip.gray]
    cuts = _cuts(small)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows: dict[str, Flow] = {
        "DIS": lambda now, before: dis.calc(now, before, None),
        "Farneback": lambda now, before: cv2.calcOpticalFlowFarneback(
            now, before, None, 0.5, 5, 21, 5, 7, 1.5, 0
        ),
    }
    # The film without what age did to it shows what moves.
    true_gray = np.stack([_gray(lab[..., 0].astype(np.float32)) for lab in clip.lab])
    motions = {name: list(_motions(true_gray, flow)) for name, flow in flows.items()}
    truth = [lab[..., 1:].astype(np.float32) for lab in clip.lab]
    ways: dict[str, list[np.ndarray]] = {
        "true colours": truth,
        "frame by frame": _coloured(network, small, clip, smooth=False),
        "steadied, each frame seen": _coloured(network, small, clip, every=1),
        "steadied": _coloured(network, small, clip),
        "steadied, each 4th seen": _coloured(network, small, clip, every=4),
    }
    print(f"\n{clip.name}: {len(small)} frames, cuts at {cuts}")
    plain = [_flicker(ways["frame by frame"], motion, cuts) for motion in motions.values()]
    for way, ab in ways.items():
        figures = [_flicker(ab, motion, cuts) for motion in motions.values()]
        told = ", ".join(
            f"{name} {figure:.3f} ({figure / other:.2f})"
            for name, figure, other in zip(motions, figures, plain, strict=True)
        )
        print(f"  {way}: flicker {told}; PSNR {_psnr(clip, ab):.2f} dB", flush=True)


def _coloured(
    network: Colorizer, small: list[np.ndarray], clip: Clip, **options: Any
) -> list[np.ndarray]:
    """Colours in Lab units at the clip's own size."""
    steadier = Steadier(network, BATCH, **options)
    height, width = clip.gray.shape[1:]
    coloured = []
    for first in range(0, len(small), BATCH):
        for state in steadier.colour(small[first : first + BATCH]):
            ab = cv2.resize(state.ab, (width, height), interpolation=cv2.INTER_LINEAR)
            coloured.append(ab * np.float32(color.AB_RANGE))
    return coloured


def _cuts(small: list[np.ndarray]) -> list[int]:
    finder = MotionFinder()
    return [i for i in range(1, len(small)) if finder.between(small[i - 1], small[i]).is_cut]


def _motions(grays: np.ndarray, flow: Flow) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each frame but the first: where its pixels were, and which of them can be judged."""
    height, width = grays.shape[1:]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([x, y], axis=-1).astype(np.float32)
    for before, now in pairwise(grays):
        back, forth = flow(now, before), flow(before, now)
        sources = places + back
        returned = cv2.remap(forth, sources, None, cv2.INTER_LINEAR)
        squares = [(field**2).sum(-1) for field in (back, returned)]
        agrees = ((back + returned) ** 2).sum(-1) <= 0.01 * (squares[0] + squares[1]) + 0.5
        slopes = [slope for i in range(2) for slope in np.gradient(back[..., i])]
        smooth = sum(slope**2 for slope in slopes) <= 0.01 * squares[0] + 0.002
        inside = ((sources >= 0) & (sources <= (width - 1, height - 1))).all(-1)
        yield sources, agrees & smooth & inside


def _flicker(
    coloured: list[np.ndarray], motions: list[tuple[np.ndarray, np.ndarray]], cuts: list[int]
) -> float:
    figures = []
    for number, (sources, judged) in enumerate(motions, start=1):
        if number not in cuts and judged.any():
            moved = cv2.remap(coloured[number - 1], sources, None, cv2.INTER_LINEAR)
            figures.append(np.abs(coloured[number] - moved)[judged].mean())
    return float(np.mean(figures))


def _psnr(clip: Clip, coloured: list[np.ndarray]) -> float:
    """Mean over frames, in RGB, with the true L: that of the colours alone."""
    figures = []
    for lab, ab in zip(clip.lab, coloured, strict=True):
        exact = lab.astype(np.float32)
        own = np.concatenate([exact[..., :1], ab], axis=-1)
        true, guess = (
            np.clip(cv2.cvtColor(each, cv2.COLOR_LAB2RGB), 0, 1) for each in (exact, own)
        )
        figures.append(-10 * np.log10(max(((true - guess) ** 2).mean(), 1e-10)))
    return float(np.mean(figures))


def measure_cuts(clips: list[Clip]) -> None:
    """Prints how many cuts are found where there are some: clips spliced every 20 frames."""
    for ageing in (False, True):
        small: list[np.ndarray] = []
        marks = []
        for first in range(0, 100, 20):
            for clip in clips:
                gray = (aged(clip) if ageing else clip).gray[first : first + 20]
                if not len(gray):
                    continue
                marks.append(len(small))
                small += [
                    cv2.resize(each, (256, 256), interpolation=cv2.INTER_AREA) for each in gray
                ]
        found = set(_cuts(small))
        spliced = set(marks[1:])
        print(
            f"\ncuts{', aged' if ageing else ''}: {len(found & spliced)} of {len(spliced)} found; "
            f"{len(found - spliced)} others in {len(small)} frames: {sorted(found - spliced)}"
        )


def measure_painting(clips: list[Clip]) -> None:
    """Prints how far chroma laid beside luma is from Lab at full size, and what both take."""
    for saturation in (1.0, 2.0):
        errors, times = [], []
        for clip in clips:
            lab = clip.lab[0].astype(np.float32)
            gray = cv2.resize(clip.gray[0], (1920, 1080), interpolation=cv2.INTER_CUBIC)
            ab = cv2.resize(lab[..., 1:] / color.AB_RANGE, (256, 256), interpolation=cv2.INTER_AREA)
            luma = np.round(16 + gray * (219 / 255)).astype(np.uint8)
            rgb = np.repeat(gray[..., None], 3, axis=-1)
            small = cv2.resize(luma, (960, 540), interpolation=cv2.INTER_AREA)
            painter = Painter(BT709, saturation)
            painted, cheap = _timed(partial(painter.paint, luma, small, ab))
            exact, full = _timed(partial(lay_on, rgb, ab, saturation=saturation))
            times.append((cheap * 1e3, full * 1e3))
            labs = [
                cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
                for picture in (_as_rgb(painted), exact.astype(np.float32) / 255)
            ]
            apart = np.abs(labs[0] - labs[1])
            errors.append((apart[..., 0].mean(), np.sqrt((apart**2).sum(-1)).mean()))
        lightness, distance = np.mean(errors, axis=0)
        cheap, full = np.median(times, axis=0)
        print(
            f"painting 1920x1080, saturation {saturation:g}: {cheap:.1f} ms, beside lay_on's "
            f"{full:.1f} ms; apart by {lightness:.2f} in L, {distance:.2f} in Lab (CIE76)"
        )


def _timed(paint: Callable[[], Any]) -> tuple[Any, float]:
    paint()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        result = paint()
        times.append(time.perf_counter() - started)
    return result, float(np.median(times))


def _as_rgb(planes: tuple[np.ndarray, ...]) -> np.ndarray:
    luma, *chroma = (plane.astype(np.float32) for plane in planes)
    cb, cr = (
        (cv2.resize(plane, luma.shape[::-1], interpolation=cv2.INTER_LINEAR) - 128) / 224
        for plane in chroma
    )
    red_share, blue_share = WEIGHTS[1]
    light = (luma - 16) / 219
    red, blue = light + 2 * (1 - red_share) * cr, light + 2 * (1 - blue_share) * cb
    green = (light - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 1)


def measure_speed(network: Colorizer, arguments: Arguments) -> None:
    """Prints frames a second of each stage alone, and of all as `colorize` runs them."""
    # As `colorize` has it, for the stages alone too.
    with opencv_in_one_thread(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = _enlarged(arguments.clips[0], folder / "large.mp4", arguments.speed_frames)
        for round_number in range(2):
            rates = {"read": _read_alone(film, network.image_size)}
            rates["predict"] = _predict_alone(film, network)
            rates["paint and encode"] = _encode_alone(film, network, folder / "parts")
            job = Job(Source(film, Path(film.name)), folder / "out" / f"{round_number}.mp4")
            started = time.perf_counter()
            cpu = time.process_time()
            colorize_film(network, job, 1.0, BATCH, resume=False)
            wall = time.perf_counter() - started
            whole = arguments.speed_frames / wall
            busy = (time.process_time() - cpu) / wall
            # The first round compiles.
            if round_number:
                print("\n1920x1080, frames a second, each alone with all cores:")
                for stage, rate in rates.items():
                    print(f"  {stage}: {rate:.1f}")
                print(f"  all, as colorize: {whole:.1f}, {busy:.2f} cores busy")
                print(f"  beside the slowest alone: {whole / min(rates.values()):.2f}")
                rest = sum(1 / rate for rate in rates.values())
                print(f"  beside one after the other: {whole * rest:.2f}")


def _enlarged(source: Path, target: Path, count: int) -> Path:
    with av.open(target, "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        number = 0
        while number < count:
            with av.open(source) as clip:
                for frame in clip.decode(video=0):
                    if number == count:
                        break
                    large = frame.reformat(1920, 1080, "yuv420p", interpolation="BICUBIC")
                    large.pts, large.time_base = number, Fraction(1, 25)
                    film.mux(stream.encode(large))
                    number += 1
        film.mux(stream.encode())
    return target


def _read_alone(path: Path, size: int) -> float:
    with Film(path, size) as film:
        started = time.perf_counter()
        count = sum(1 for _ in film.frames())
        return count / (time.perf_counter() - started)


def _predict_alone(path: Path, network: Colorizer) -> float:
    with Film(path, network.image_size) as film:
        grays = [frame.gray for frame in film.frames()]
    steadier = Steadier(network, BATCH)
    started = time.perf_counter()
    for first in range(0, len(grays), BATCH):
        steadier.colour(grays[first : first + BATCH])
    return len(grays) / (time.perf_counter() - started)


def _encode_alone(path: Path, network: Colorizer, folder: Path) -> float:
    """Over the first frames, as many as fit in memory."""
    with Film(path, network.image_size) as film:
        groups = list(grouped(islice(film.frames(), ENCODED), BATCH))
        steadier = Steadier(network, BATCH)
        states = [steadier.colour([frame.gray for frame in group]) for group in groups]
        parts = Parts(folder, {}, keep=False)
        started = time.perf_counter()
        with Encoding(film.look, parts, 1.0) as encoding:
            for group, coloured in zip(groups, states, strict=True):
                encoding.begin(group, coloured)
        return sum(map(len, groups)) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
