"""Small films for the tests: pans over a photo, of any kind that FFmpeg writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


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


def make_film(path: Path, photo: np.ndarray, recipe: Recipe = Recipe()) -> Path:
    """Writes a film of `recipe` that pans over `photo`, uint8 (256, 256)."""
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


def frame_times(path: Path) -> list[Fraction]:
    """When each frame of a film is shown, in seconds."""
    with av.open(path) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]
