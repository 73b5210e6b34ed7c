"""Films read as a stream: the luma and the time of each frame, and what goes along."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from colorizer.films.colours import WEIGHTS, Colours
from pipelines.errors import PhotoError

# What the file says of its length, against where its last packet ends: containers round.
MISSING_SECONDS = 1.0
# Formats whose first plane is 8-bit luma as it is; all others are converted.
_SAMPLINGS = ("410p", "411p", "420p", "422p", "440p", "444p")
_LUMA_FORMATS = frozenset(
    ("gray", "nv12", "nv21", *(f"yuv{j}{name}" for j in ("", "j") for name in _SAMPLINGS))
)
# ITU-T H.273: transfer characteristics of PQ and HLG, and matrices that are no luma and chroma.
_HDR = {16: "PQ", 18: "HLG"}
_BT709, _UNSPECIFIED = 1, 2


class Frame(NamedTuple):
    """One frame.

    Attributes:
        time: when it is shown, in the film's time base.
        duration: how long, in the same; 0 where the film does not say.
        luma: uint8 (H, W), in the film's own range.
        small: uint8, the same shrunk to the size of the chroma planes.
        gray: uint8 (S, S): the whole picture, upright, squashed; 0 black to 255 white.
    """

    time: int
    duration: int
    luma: np.ndarray
    small: np.ndarray
    gray: np.ndarray


@dataclass(frozen=True)
class Look:
    """What all frames of a film have in common, and the coloured film has as well.

    Attributes:
        width, height: of the stored picture, in pixels.
        time_base: seconds per tick.
        rate: frames a second, on average.
        pixel_aspect: width of a pixel by its height; None where the film does not say.
        colours: how luma and chroma are meant.
        turn: quarter turns, counter-clockwise, that a player gives the picture.
        matrix: the display matrix, 9 integers; empty where there is none, or none to be read.
        field_order: of an interlaced film, as FFmpeg counts; 0 for whole frames.
        start: time of the first frame, in ticks.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction | None
    colours: Colours
    turn: int
    matrix: tuple[int, ...]
    field_order: int
    start: int

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Width and height of the coloured film's chroma planes, in pixels.

        Half the picture's; where a side is odd, all of it: H.264 knows no half pixels.
        """
        even = self.width % 2 == 0 and self.height % 2 == 0
        return (self.width // 2, self.height // 2) if even else (self.width, self.height)


class Film:
    """An opened film; a context manager.

    Args:
        path: its file.
        size: S, the side of the small pictures, in pixels.

    Attributes:
        look: what its frames have in common.
        total: frames, as far as the file knows; None where it does not.
        notes: what was decided on the way, one line each.
        breaks_off: once all is read: why the film ends early; None where it does not.

    Raises:
        PhotoError: it cannot be read, holds no picture track, or is HDR.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._size = path, size
        self.notes: list[str] = []
        self.breaks_off: str | None = None
        self._end = Fraction(0)
        self._container = open_film(path)
        try:
            self._stream = picture_stream(self._container, path)
            self._stream.thread_type = "AUTO"
            self._decoded = self._decode()
            first = next(self._decoded, None)
            if first is None:
                raise PhotoError(path, self.breaks_off or "no frame of it can be decoded")
            self._first = first
            self.look = _look(path, self._stream, first)
        except BaseException:
            self._container.close()
            raise
        self.total = self._stream.frames or self._estimated_frames()

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *exception: object) -> None:
        self._container.close()

    def frames(self, after: int | None = None) -> Iterator[Frame]:
        """Reads the frames, in the order in which they are shown; once.

        Args:
            after: leaves out all up to this time, in the film's time base. They are decoded all
                the same: the others are then the same as ever, whatever the codec.
        """
        last: int | None = None
        out_of_order = 0
        for decoded in chain([self._first], self._decoded):
            time = decoded.pts if decoded.pts is not None else self._next_time(last)
            if last is not None and time <= last:
                out_of_order += 1
                continue
            last = time
            if after is None or time > after:
                yield self._frame(decoded, time)
        if out_of_order:
            self.notes.append(f"{out_of_order} frames are out of order in time and left out")

    def _decode(self) -> Iterator[av.VideoFrame]:
        damaged = 0
        for packet in self._demuxed():
            try:
                yield from packet.decode()
            except av.FFmpegError:
                damaged += 1
        if damaged:
            self.notes.append(f"{damaged} damaged pieces of its picture could not be decoded")
        self._check_length()

    def _demuxed(self) -> Iterator[av.Packet]:
        """Gives the packets of the picture; notes how far those of all streams reach."""
        try:
            for packet in self._container.demux():
                if packet.pts is not None and packet.time_base:
                    end = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
                    self._end = max(self._end, end)
                if packet.stream is self._stream:
                    yield packet
        except av.FFmpegError as error:
            self.breaks_off = error.strerror or str(error)

    def _check_length(self) -> None:
        if self.breaks_off is None and self._container.duration:
            start = self._container.start_time or 0
            stated = Fraction(start + self._container.duration, av.time_base)
            if stated - self._end > MISSING_SECONDS:
                self.breaks_off = f"ends after {_clock(self._end)} of {_clock(stated)}"

    def _next_time(self, last: int | None) -> int:
        if last is None:
            return self.look.start
        return last + max(1, round(1 / (self.look.rate * self.look.time_base)))

    def _estimated_frames(self) -> int | None:
        seconds = Fraction(self._container.duration or 0, av.time_base)
        return round(seconds * self.look.rate) or None

    def _frame(self, decoded: av.VideoFrame, time: int) -> Frame:
        luma = _luma(decoded, self.look)
        # In steps: shrinking by two is fast.
        small = _shrunk(luma, self.look.chroma_size)
        gray = small
        while all(side % 2 == 0 and side >= 2 * self._size for side in gray.shape):
            gray = _shrunk(gray, (gray.shape[1] // 2, gray.shape[0] // 2))
        gray = _shrunk(gray, (self._size, self._size))
        gray = np.rot90(cv2.LUT(gray, self.look.colours.levels), self.look.turn)
        return Frame(time, decoded.duration or 0, luma, small, np.ascontiguousarray(gray))


def open_film(path: Path) -> av.container.InputContainer:
    """Opens a film.

    Raises:
        PhotoError: it cannot be opened, or is no film.
    """
    try:
        if path.stat().st_size == 0:
            raise PhotoError(path, "is empty (0 bytes)")
        return av.open(path, metadata_errors="replace")
    except OSError as error:
        raise PhotoError(path, error.strerror or str(error)) from error
    except av.FFmpegError as error:
        raise PhotoError(path, f"is no film, or is damaged ({error.strerror})") from error


def picture_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """Finds the stream to colour: the first that moves, no cover.

    Raises:
        PhotoError: there is none, or none whose codec is known.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise PhotoError(path, "its picture has a codec that is not known")
            return stream
    raise PhotoError(path, "holds no picture, only other streams")


def _look(path: Path, stream: av.VideoStream, first: av.VideoFrame) -> Look:
    if first.color_trc in _HDR:
        raise PhotoError(path, f"is HDR ({_HDR[first.color_trc]}): only SDR can be coloured")
    if stream.time_base is None:
        raise PhotoError(path, "does not say how its time is counted")
    return Look(
        width=first.width,
        height=first.height,
        time_base=Fraction(stream.time_base),
        rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
        pixel_aspect=stream.sample_aspect_ratio or None,
        colours=_colours(first),
        turn=round(first.rotation / 90) % 4,
        matrix=_display_matrix(first),
        field_order=stream.codec_context.field_order if first.interlaced_frame else 0,
        start=first.pts or 0,
    )


def _display_matrix(first: av.VideoFrame) -> tuple[int, ...]:
    try:
        matrix = first.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 stumbles over kinds of side data that came to FFmpeg after it.
        return ()
    return () if matrix is None else tuple(np.frombuffer(bytes(matrix), np.int32).tolist())


def _colours(first: av.VideoFrame) -> Colours:
    name = first.format.name
    if name in _LUMA_FORMATS:
        full = name.startswith("yuvj") or first.color_range == ColorRange.JPEG
        full |= name == "gray" and first.color_range != ColorRange.MPEG
    else:
        full = first.color_range == ColorRange.JPEG and not first.format.is_rgb
    matrix = first.colorspace
    if matrix not in WEIGHTS:
        # As players take it where nothing is said: high definition is BT.709, the rest BT.601.
        matrix = _BT709 if first.width >= 1280 or first.height > 576 else 6
    primaries = first.color_primaries
    transfer = first.color_trc
    return Colours(
        matrix,
        full,
        _BT709 if primaries == _UNSPECIFIED else primaries,
        _BT709 if transfer == _UNSPECIFIED else transfer,
    )


def _luma(decoded: av.VideoFrame, look: Look) -> np.ndarray:
    if decoded.format.name not in _LUMA_FORMATS or (decoded.width, decoded.height) != (
        look.width,
        look.height,
    ):
        colours = look.colours
        matrix = Colorspace.ITU709 if colours.matrix == _BT709 else Colorspace.ITU601
        decoded = decoded.reformat(
            look.width,
            look.height,
            format="yuv444p",
            dst_colorspace=matrix if decoded.format.is_rgb else None,
            dst_color_range=ColorRange.JPEG if colours.full_range else ColorRange.MPEG,
        )
    plane = decoded.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: look.height, : look.width]


def _shrunk(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a plane to (width, height), antialiased where that shrinks it."""
    shrinking = plane.shape[1] >= size[0] and plane.shape[0] >= size[1]
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def _clock(seconds: Fraction) -> str:
    minutes, rest = divmod(float(seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"
