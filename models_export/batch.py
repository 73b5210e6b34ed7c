"""python -m models_export.batch: colours whole archives as an Apache Beam job.

It runs on this machine, or on Flink, Spark or Dataflow, and reads and writes local folders and
whatever else Beam has a file system for. What has its result already is left alone, so a job that
was stopped goes on where it stopped when it is started again.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from tyro.conf import arg

from colorizer.command import note, parse, run
from colorizer.locks import used_alone
from pipelines.errors import ColorizerError, NoPhotosError, NotWrittenError, UsageError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from models_export.batch_job.listing import Part
    from models_export.batch_job.pipeline import Task
    from models_export.batch_job.places import Places

DESCRIPTION = """Colours whole archives with Apache Beam, on this machine or on many.

Flags that are not listed here go to Beam as its pipeline options."""
EXAMPLES = """
# On this machine; started again it goes on where it stopped.
python -m models_export.batch --input old_album/ --output album_in_colour
# On Dataflow, between buckets.
python -m models_export.batch --input gs://archive/photos --output gs://archive/colour \\
    --runner DataflowRunner --project p --region r --temp_location gs://archive/tmp
"""

LOCAL = "DirectRunner"
# Names of inputs and results that a pipeline on this machine sees, at most: its runner keeps
# kilobytes of each.
PART_NAMES = 10_000
# Errors said on stderr; the report has all.
ERRORS_SAID = 20


class BatchConfig(BaseModel):
    """The command's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[str, arg(metavar="INPUT")]
    """A folder (searched with its sub-folders), a glob (** enters sub-folders) or a file."""
    output: Annotated[str, arg(metavar="DIR")]
    """Folder for the coloured photos and the reports; made if missing."""
    model: Annotated[str | None, arg(metavar="RUN_OR_EXPORT")] = None
    """A run folder or an export, where the workers see it. Left out: the weights that ship with the
    package."""
    style: Literal["faithful", "vivid"] | None = None
    """faithful (the likeliest mean colour) or vivid, for models that know both."""
    saturation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Factor on the colours: 0 is gray, 1 is what the model says."""
    format: Literal["png", "jpg"] = "png"
    """What to write; jpg has quality 95 and full colour resolution."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Photos that go through the network at once, at most."""
    runner: str = LOCAL
    """DirectRunner (this machine), FlinkRunner, SparkRunner, DataflowRunner, or another of Beam."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def _command() -> int:
    own, beams = _apart(sys.argv[1:])
    runner = _runner_of(own)
    # Before ours are parsed: a flag that nobody knows is named whatever else is wrong.
    if beams and runner == LOCAL:
        _refuse_unknown(beams)
    config = parse(
        BatchConfig,
        prog="python -m models_export.batch",
        description=DESCRIPTION,
        examples=EXAMPLES,
        argv=own,
    )
    return colorize_archive(config, beams)


def colorize_archive(config: BatchConfig, beam_flags: Sequence[str] = ()) -> int:
    """Colours what `config` names, with `beam_flags` for Beam; prints a summary on stdout.

    Photos whose result is there are skipped. Each that fails is named, with the reason, in
    `errors-*.jsonl` in the output; a later run tries it again.

    Returns:
        The exit code: 0, or 1 if any photo failed.

    Raises:
        NoPhotosError: the input holds no photo at all.
        ColorizerError: the model cannot be loaded, the output not be written, the job fails,
            another one is at work in the output.
        UsageError: the output holds the input; Beam does not know the runner, or the model the
            style.
    """
    _import_beam()
    from models_export.batch_job.handler import ColorizerHandler
    from models_export.batch_job.pipeline import Task
    from models_export.batch_job.places import is_local, places, prepared

    ends = places(config.input, config.output)
    options, runner = _options(config.runner, beam_flags)
    handler = ColorizerHandler(config.model, config.style, config.saturation, config.batch_size)
    if _in_this_process(config.runner, options):
        # What is wrong with the model is said before anything is listed; workers take this copy.
        handler.set_environment_vars()
        handler.load_model()
    # Another job's reports would be taken for this one's.
    alone = used_alone(Path(ends.output)) if is_local(ends.output) else nullcontext()
    with alone:
        prepared(ends.output)
        task = Task(ends, f".{config.format}", handler)
        if config.runner == LOCAL:
            _run_in_parts(task, runner, options)
        else:
            _run(task, runner, options)
        return _told(config, ends)


def _run_in_parts(task: "Task", runner: Any, options: "PipelineOptions") -> None:
    """Runs a pipeline for each part of the archive, so that memory does not grow with it."""
    from models_export.batch_job.listing import Listing
    from models_export.batch_job.places import temporary_deleted
    from models_export.batch_job.reports import end_parts, publish_part

    with (
        temporary_deleted(task.places.output),
        closing(Listing(task.places, task.suffix)) as listing,
    ):
        for part in listing.parts(PART_NAMES):
            _run(task, runner, options, part)
            publish_part(task.places.output)
        end_parts(task.places.output)


def _run(task: "Task", runner: Any, options: "PipelineOptions", part: "Part | None" = None) -> None:
    import apache_beam as beam

    from models_export.batch_job.pipeline import build
    from models_export.batch_job.worker_errors import WorkerErrors

    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline, task, part)
    # A worker's error arrives as its whole traceback in words, in a kind that the runner chooses.
    try:
        with WorkerErrors() as told:
            state = pipeline.run().wait_until_finish()
    except Exception as error:
        output = task.places.output
        known = told.of_the_system()
        if known and str(known.filename or output).startswith(output):
            raise NotWrittenError(output, known) from error
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ColorizerError(f"the job failed: {last}") from error
    if state != beam.runners.runner.PipelineState.DONE:
        raise ColorizerError(f"the job ended as {state}: its runner's logs say why")


def _told(config: BatchConfig, ends: "Places") -> int:
    from models_export.batch_job.places import report_lines

    counts = json.loads("".join(report_lines(ends.output, "summary")))
    if not counts["done"] + counts["skipped"] + counts["failed"]:
        raise NoPhotosError(f"no photos found in {config.input}")
    for line in islice(report_lines(ends.output, "errors"), ERRORS_SAID):
        failure = json.loads(line)
        note(f"error: {failure['source']}: {failure['reason']}")
    if counts["failed"] > ERRORS_SAID:
        note(f"{counts['failed'] - ERRORS_SAID} more in {ends.output}errors-*.jsonl")
    words = ("done", "skipped", "failed", "passed over")
    print(f"{', '.join(f'{counts[word]} {word}' for word in words)}: {config.output}")
    return 1 if counts["failed"] else 0


def _apart(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits the command line into what is ours and what is Beam's, each flag with its values."""
    ours = {"--help", *(f"--{name.replace('_', '-')}" for name in BatchConfig.model_fields)}
    own: list[str] = []
    beams: list[str] = []
    current = own
    for word in argv:
        if word.startswith("--"):
            name = word.partition("=")[0].replace("_", "-")
            current = own if name in ours else beams
        current.append(word)
    return own, beams


def _runner_of(own: Sequence[str]) -> str:
    joined = " ".join(own).replace("--runner=", "--runner ").split()
    return joined[joined.index("--runner") + 1] if "--runner" in joined[:-1] else LOCAL


def _refuse_unknown(flags: Sequence[str]) -> None:
    """Raises UsageError for what is no option of Beam's.

    Only before a local run: the servers of other runners have options of their own.
    """
    _import_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[Any] = []
    PipelineOptions(list(flags)).get_all_options(add_extra_args_fn=parsers.append)
    _, unknown = parsers[0].parse_known_args(list(flags))
    if unknown:
        raise UsageError(f"{unknown[0]}: neither a flag of this command nor one of Beam's")


def _options(name: str, flags: Sequence[str]) -> tuple["PipelineOptions", Any]:
    """Beam's options, and its runner."""
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.runners.runner import create_runner

    options = PipelineOptions([*flags, f"--runner={name}"])
    if name == LOCAL:
        direct = options.view_as(DirectOptions)
        if not any(flag.startswith("--direct_") for flag in flags):
            # Threads share one model; decoders, TensorFlow and encoders let go of Python's lock.
            direct.direct_running_mode = "multi_threading"
            direct.direct_num_workers = os.cpu_count() or 1
        # By its name Beam would first try to download another runner, Prism.
        return options, FnApiRunner()
    try:
        return options, create_runner(name)
    except (ValueError, ImportError) as error:
        raise UsageError(f"--runner {name}: {' '.join(str(error).split())}") from error


def _in_this_process(name: str, options: "PipelineOptions") -> bool:
    from apache_beam.options.pipeline_options import DirectOptions

    mode = options.view_as(DirectOptions).direct_running_mode
    return name == LOCAL and mode != "multi_processing"


def _import_beam() -> None:
    """Imports Beam without its remarks on what else could be installed.

    Raises:
        ColorizerError: it is not installed.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("models_export").setLevel(logging.INFO)
    logging.getLogger().handlers[0].addFilter(_is_worth_saying)
    logging.disable(logging.WARNING)
    try:
        import apache_beam.ml.inference.base  # noqa: F401
    except ImportError as error:
        raise ColorizerError(
            f"{error}: Apache Beam comes with pip install 'photo-colorizer[batch]'"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    # That there are no errors to write, that memory is not measured without scikit-learn, and what
    # `_refuse_unknown` says better.
    said = record.getMessage()
    return not said.startswith(("No shards found", "Resource module", "Discarding unparseable"))


if __name__ == "__main__":
    main()
