"""The job as a Beam pipeline: find, name, read, colour, write, report.

    match -> Reshuffle -> admit --+                                        +-> done
                                  +-> group by name -> Reshuffle -> read -> RunInference -> write
    match the output -------------+        |                  |                            |
                                        skipped            failed                       failed

Between the Reshuffles only names travel; a decoded photo lives within one bundle of one worker.
"""

import io
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import FileMetadata
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import TaggedOutput

from colorizer.colorizing.outputs import clash_key, names_below
from colorizer.images.formats import HEAD_BYTES, SUFFIXES, kind_of
from colorizer.images.reading import decode_photo
from colorizer.images.writing import encode_photo
from models_export.batch_job.handler import ColorizerHandler, Coloured, Opened
from models_export.batch_job.listing import Part, result_of
from models_export.batch_job.places import (
    ERRORS,
    NOTES,
    SUMMARY,
    Places,
    literally,
    printable,
    read_bytes,
    read_head,
    write_whole,
)
from models_export.batch_job.reports import (
    DONE,
    FAILED,
    PASSED_OVER,
    SKIPPED,
    Pair,
    report,
    report_prefix,
    summarize,
)
from pipelines.errors import PhotoError

NOTED = "noted"

# How often a worker's log says how far it is.
TELL_SECONDS = 10.0


class Task(NamedTuple):
    """What is to be done.

    Attributes:
        places: where photos lie and results go.
        suffix: ".png" or ".jpg".
        handler: the model.
    """

    places: Places
    suffix: str
    handler: ColorizerHandler


def build(pipeline: beam.Pipeline, task: Task, part: Part | None = None) -> None:
    """Adds the job's transforms to a pipeline, or those of a part of the job.

    It writes each photo's result, `errors-XXXXX-of-NNNNN.jsonl` and `notes-...` (an object
    {"source", "reason"} a line) where there are any, and `summary.json` with the counts. Those of
    a part have its number in their names and wait in `PARTS` for `reports.publish_part`.
    """
    output, number = task.places.output, part.number if part else None
    sources, existing = _matched(pipeline, task) if part is None else _given(pipeline, part)
    admitted = (
        sources
        | "SpreadPaths" >> beam.Reshuffle()
        | "Admit"
        >> beam.ParDo(Admit(task.places))
        .with_output_types(Pair)
        .with_outputs(PASSED_OVER, FAILED, main="main")
    )
    named = (
        {"sources": admitted.main, "existing": existing}
        | "GroupByName" >> beam.CoGroupByKey()
        | "Name"
        >> beam.ParDo(Name(task)).with_output_types(Pair).with_outputs(SKIPPED, FAILED, main="main")
    )
    opened = (
        named.main
        | "SpreadJobs" >> beam.Reshuffle()
        | "Read"
        >> beam.ParDo(Read()).with_output_types(Opened).with_outputs(NOTED, FAILED, main="main")
    )
    written = (
        opened.main
        | "Colour" >> RunInference(task.handler)
        | "Write" >> beam.ParDo(Write(output)).with_outputs(FAILED, main="main")
    )
    failures = [admitted[FAILED], named[FAILED], opened[FAILED], written[FAILED]]
    failed = failures | "Failures" >> beam.Flatten()
    report(failed, report_prefix(output, ERRORS, number), "Errors")
    report(opened[NOTED], report_prefix(output, NOTES, number), "Notes")
    counted = {
        DONE: written.main,
        SKIPPED: named[SKIPPED],
        PASSED_OVER: admitted[PASSED_OVER],
        FAILED: failed,
    }
    summarize(counted, report_prefix(output, SUMMARY, number))


def _matched(pipeline: beam.Pipeline, task: Task) -> tuple[beam.PCollection, beam.PCollection]:
    """The paths of the inputs, and (key, name) of what could be results, as Beam lists them."""
    output = task.places.output
    sources = (
        pipeline
        | "Inputs" >> beam.Create([task.places.pattern])
        | "MatchInputs" >> fileio.MatchAll(fileio.EmptyMatchTreatment.ALLOW)
        | "Paths" >> beam.Map(lambda found: printable(found.path)).with_output_types(str)
    )
    existing = (
        pipeline
        | "Output" >> beam.Create([f"{literally(output)}**"])
        | "MatchOutput" >> fileio.MatchAll(fileio.EmptyMatchTreatment.ALLOW)
        | "Existing" >> beam.ParDo(Existing(output, task.suffix))
    )
    return sources, existing


def _given(pipeline: beam.Pipeline, part: Part) -> tuple[beam.PCollection, beam.PCollection]:
    """The same of a part, which has been listed."""
    sources = pipeline | "Inputs" >> beam.Create(part.sources).with_output_types(str)
    existing = pipeline | "Existing" >> beam.Create(part.results).with_output_types(Pair)
    return sources, existing


class Admit(beam.DoFn):
    """Paths to (key, path) of photos, by name or else by content."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def process(self, path: str) -> Iterator[Any]:
        """Admits one file."""
        if path.startswith(self._places.output):
            return
        kept = self._places.kept(path)
        if kept is None:
            yield TaggedOutput(PASSED_OVER, path)
            return
        try:
            if kept.suffix.lower() not in SUFFIXES and not kind_of(read_head(path, HEAD_BYTES)):
                yield TaggedOutput(PASSED_OVER, path)
                return
        except PhotoError as error:
            yield TaggedOutput(FAILED, (path, error.reason))
            return
        yield clash_key(Path(kept)), path


class Existing(beam.DoFn):
    """Files of the output to (key, name below the output); only what could be a whole result."""

    def __init__(self, output: str, suffix: str) -> None:
        self._output, self._suffix = output, suffix

    def process(self, found: FileMetadata) -> Iterator[tuple[str, str]]:
        """Looks at one file."""
        path = printable(found.path)
        if result := result_of(path, found.size_in_bytes, self._output, self._suffix):
            yield result


class Name(beam.DoFn):
    """Photos whose names could clash, with the results that are there, to (path, target)."""

    def __init__(self, task: Task) -> None:
        self._places, self._suffix = task.places, task.suffix

    def process(self, group: tuple[str, dict[str, Iterable[str]]]) -> Iterator[Any]:
        """Names one group."""
        paths = sorted(set(group[1]["sources"]))
        existing = set(group[1]["existing"])
        kept = [Path(self._places.kept(path) or "") for path in paths]
        for path, target in zip(paths, names_below(kept, self._suffix), strict=True):
            if target is None:
                yield TaggedOutput(FAILED, (path, "another input has the same path"))
            elif target.as_posix() in existing:
                yield TaggedOutput(SKIPPED, path)
            else:
                yield path, target.as_posix()


class Read(beam.DoFn):
    """(path, target) to `Opened`."""

    def process(self, job: tuple[str, str]) -> Iterator[Any]:
        """Reads one photo, as `colorize` does."""
        path, target = job
        try:
            photo = decode_photo(io.BytesIO(read_bytes(path)), path)
        except PhotoError as error:
            yield TaggedOutput(FAILED, (path, error.reason))
            return
        for note in photo.notes:
            yield TaggedOutput(NOTED, (path, note))
        yield Opened(path, target, photo)


class Write(beam.DoFn):
    """`Coloured` to files, and to the paths of their sources."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._written = 0

    def setup(self) -> None:
        """Begins to count."""
        self._told = time.monotonic()

    def process(self, coloured: Coloured) -> Iterator[Any]:
        """Writes one photo, as `colorize` does."""
        from PIL import Image

        opened = coloured.opened
        if coloured.rgb is None:
            yield TaggedOutput(FAILED, (opened.path, coloured.error))
            return
        image, photo, content = Image.fromarray(coloured.rgb), opened.photo, io.BytesIO()
        try:
            name = Path(opened.target)
            encode_photo(
                image,
                content,
                name,
                exif=photo.exif,
                resolution=photo.resolution,
                provenance=coloured.provenance,
            )
            write_whole(self._output + opened.target, content.getvalue())
        except PhotoError as error:
            yield TaggedOutput(FAILED, (opened.path, error.reason))
        else:
            self._tell()
            yield opened.path

    def _tell(self) -> None:
        self._written += 1
        if time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            logging.getLogger(__name__).info("this worker: %d photos written", self._written)
