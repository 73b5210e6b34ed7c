"""Coloured frames encoded into parts, and parts joined with all else that the film holds."""

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.codec.context import Flags
from av.rational import AVRational
from av.video.reformatter import ColorRange

from colorizer.files import replacing
from colorizer.films.reading import Frame, Look, open_film, picture_stream
from pipelines.errors import PhotoError

# Without B-frames (6 % smaller files) frames are stored in the order in which they are shown, and
# parts join without new time stamps.
ENCODER = "libx264"
# Threads work on a frame each, not on slices of one as PyAV has it: that fills the cores.
ENCODER_OPTIONS = {"preset": "veryfast", "crf": "18", "bf": "0", "thread_type": "frame"}
# What Matroska tells of a track's old content.
_STALE_TAGS = frozenset(("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "ENCODER"))
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


class PartWriter:
    """Encodes frames into one part; a context manager that finishes the file.

    Args:
        file: where to write to.
        look: of the film.
    """

    def __init__(self, file: BinaryIO, look: Look) -> None:
        self._look = look
        whole = look.chroma_size == (look.width, look.height)
        self._format = "yuv444p" if whole else "yuv420p"
        self._container = av.open(file, "w", format="nut")
        self._stream = self._container.add_stream(
            ENCODER, rate=look.rate, options=dict(ENCODER_OPTIONS)
        )
        _set_look(self._stream.codec_context, look, self._format)
        self._stream.time_base = look.time_base

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, frame: Frame, planes: Sequence[np.ndarray]) -> None:
        """Adds a frame as painted: luma, Cb, Cr."""
        height, width = frame.luma.shape
        coloured = av.VideoFrame(width, height, self._format)
        for plane, samples in zip(coloured.planes, planes, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            rows[: samples.shape[0], : samples.shape[1]] = samples
        # NUT knows no times below zero.
        coloured.pts, coloured.time_base = frame.time - self._look.start, self._look.time_base
        self._container.mux(self._stream.encode(coloured))


def _set_look(context: av.VideoCodecContext, look: Look, pixel_format: str) -> None:
    context.width, context.height, context.pix_fmt = look.width, look.height, pixel_format
    context.time_base, context.framerate = look.time_base, look.rate
    if look.pixel_aspect is not None:
        context.sample_aspect_ratio = look.pixel_aspect
    colours = look.colours
    context.color_range = ColorRange.JPEG if colours.full_range else ColorRange.MPEG
    context.colorspace, context.color_primaries = colours.matrix, colours.primaries
    context.color_trc = colours.transfer
    if look.field_order:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.field_order = look.field_order


def join(
    source: Path,
    parts: Sequence[Path],
    target: Path,
    look: Look,
    *,
    last_duration: int,
    remark: str,
    notes: list[str],
) -> None:
    """Writes a film: the picture from `parts`, all else from `source`, packet by packet.

    Args:
        source: the film that was coloured.
        parts: its coloured picture.
        target: what to write, beside its place first and then renamed.
        look: of the film.
        last_duration: of the last frame, in the film's time base; 0 where it is not known.
        remark: the comment that the film gets.
        notes: takes a line for each stream that the container cannot hold.

    Raises:
        PhotoError: it cannot be written, or the container cannot hold the film's sound.
    """
    try:
        with (
            open_film(source) as film,
            av.open(parts[0]) as first,
            replacing(target) as beside,
            beside.open("wb") as file,
            av.open(file, "w", format=_FORMATS[target.suffix]) as joined,
        ):
            joined.metadata.update(film.metadata)
            before = film.metadata.get("comment")
            joined.metadata["comment"] = f"{remark} (before: {before})" if before else remark
            joined.set_chapters(film.chapters())
            picture, copied = _add_streams(joined, film, first, source, look, notes)
            coloured = _picture_packets(parts, picture, look, last_duration)
            others = _copied_packets(film, copied)
            for packet in heapq.merge(coloured, others, key=_moment):
                joined.mux(packet)
    except av.FFmpegError as error:
        raise PhotoError(target, f"cannot be written: {error.strerror or error}") from error


def _add_streams(
    joined: av.container.OutputContainer,
    film: av.container.InputContainer,
    part: av.container.InputContainer,
    source: Path,
    look: Look,
    notes: list[str],
) -> tuple[av.VideoStream, dict[int, Any]]:
    """Makes the streams of the joined film; those to copy by their number in the source."""
    picture = picture_stream(film, source)
    coloured: av.VideoStream | None = None
    copied: dict[int, Any] = {}
    for stream in film.streams:
        if stream is picture:
            added = coloured = joined.add_stream_from_template(part.streams.video[0], opaque=True)
            added.time_base = look.time_base
            if look.matrix:
                added.set_display_matrix(look.matrix)
            elif look.turn:
                added.set_display_rotation(90 * look.turn)
        else:
            try:
                added = joined.add_stream_from_template(stream, opaque=True)
            except ValueError as error:
                kind = f"its {stream.type} stream, number {stream.index}"
                if stream.type == "audio":
                    raise PhotoError(source, f"{kind}, cannot be copied: {error}") from error
                notes.append(f"{kind}, is left out: {error}")
                continue
            copied[stream.index] = added
        added.disposition = stream.disposition
        added.metadata.update(
            (key, value)
            for key, value in stream.metadata.items()
            if key.split("-")[0].upper() not in _STALE_TAGS and not key.startswith("_STATISTICS")
        )
    if coloured is None:
        raise AssertionError("the stream to colour is one of the film's")
    return coloured, copied


def _picture_packets(
    parts: Sequence[Path], stream: av.VideoStream, look: Look, last_duration: int
) -> Iterator[av.Packet]:
    time_base = AVRational(*look.time_base.as_integer_ratio())
    before: av.Packet | None = None
    for path in parts:
        with av.open(path) as part:
            for packet in part.demux(video=0):
                if packet.dts is None:
                    continue
                packet.stream = stream
                # NUT counts finer.
                packet.rescale_ts(time_base)
                packet.pts = packet.dts = packet.pts + look.start
                if before is not None:
                    before.duration = packet.pts - before.pts
                    yield before
                before = packet
    if before is not None:
        before.duration = last_duration or before.duration
        yield before


def _copied_packets(
    film: av.container.InputContainer, streams: dict[int, Any]
) -> Iterator[av.Packet]:
    wanted = [film.streams[number] for number in streams]
    if not wanted:
        return
    try:
        for packet in film.demux(wanted):
            # At the end of each stream comes one that is empty.
            if packet.dts is None and packet.pts is None:
                continue
            packet.stream = streams[packet.stream.index]
            yield packet
    except av.FFmpegError:
        # Reading the picture came as far, and has said so.
        return


def _moment(packet: av.Packet) -> Fraction:
    return (packet.pts if packet.dts is None else packet.dts) * Fraction(packet.time_base)
