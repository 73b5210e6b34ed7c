"""What a job tells beside its photos: errors, notes, and how many of what."""

import json
from collections import Counter
from collections.abc import Mapping

import apache_beam as beam

from models_export.batch_job.places import (
    ERRORS,
    NOTES,
    PARTS,
    SUMMARY,
    move_report,
    report_lines,
    write_whole,
)

DONE, SKIPPED, PASSED_OVER, FAILED = "done", "skipped", "passed over", "failed"

Pair = tuple[str, str]


def report_prefix(output: str, name: str, part: int | None) -> str:
    """The beginning of a report's paths.

    Those of a part wait in a folder of their own: Beam looks for them through all that lies in
    and below their folder, which would be all results, for each part.
    """
    return f"{output}{name}" if part is None else f"{output}{PARTS}{name}-{part:05d}"


def report(told: beam.PCollection[Pair], prefix: str, label: str) -> None:
    """Writes (source, reason) as objects of JSON, a line each; no file where there are none."""
    _ = (
        told
        | f"{label}AsLines" >> beam.Map(_line)
        | f"Write{label}" >> beam.io.WriteToText(prefix, ".jsonl", skip_if_empty=True)
    )


def _line(told: Pair) -> str:
    source, reason = told
    return json.dumps({"source": source, "reason": " ".join(reason.split())}, ensure_ascii=False)


def summarize(counted: Mapping[str, beam.PCollection], prefix: str) -> None:
    """Writes how many elements there are of each, as an object of JSON."""
    counts = [
        collection
        | f"Count {name}" >> beam.combiners.Count.Globally()
        | f"Name {name}" >> beam.Map(lambda count, name: (name, count), name)
        for name, collection in counted.items()
    ]
    _ = (
        counts
        | "Counts" >> beam.Flatten()
        | "Summary" >> beam.combiners.ToDict()
        | "SummaryAsJson" >> beam.Map(json.dumps)
        | "WriteSummary"
        >> beam.io.WriteToText(prefix, ".json", num_shards=1, shard_name_template="")
    )


def publish_part(output: str) -> None:
    """Moves the errors and notes of a part that is done to the output."""
    for name in (ERRORS, NOTES):
        move_report(f"{output}{PARTS}", name, output)


def end_parts(output: str) -> None:
    """Makes `summary.json` of the parts' summaries.

    Raises:
        PhotoError: it cannot be written.
    """
    counts = Counter(dict.fromkeys((DONE, SKIPPED, PASSED_OVER, FAILED), 0))
    for line in report_lines(f"{output}{PARTS}", SUMMARY):
        counts.update(json.loads(line))
    write_whole(f"{output}{SUMMARY}.json", f"{json.dumps(counts)}\n".encode())
