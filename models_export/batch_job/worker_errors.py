"""What Beam's workers in this process say of an error, beside raising it."""

import logging
import sys
from types import TracebackType
from typing import Self

from apache_beam.runners.worker import sdk_worker

from models_export.batch_job.places import system_error
from pipelines.errors import ColorizerError

# The loggers of what a pipeline's functions raise, as errors; of what ends a bundle, as words; of
# reports that cannot be renamed, which are raised as words alone.
_RAISED = "apache_beam.runners.common"
_ENDED = sdk_worker.__name__
_RENAMED = "apache_beam.io.filebasedsink"
_NOT_RENAMED = "Encountered exceptions in finalize_write"


class WorkerErrors:
    """Holds back workers' tracebacks while a pipeline runs; prints those of no expected errors.

    A worker logs the traceback of an error, prints it, and logs what it has printed. Of a full disk
    one line says as much.
    """

    def __init__(self) -> None:
        self._raised: list[BaseException] = []
        self._not_renamed: list[OSError] = []
        self._printed: list[str] = []

    def __enter__(self) -> Self:
        logging.getLogger(_RAISED).addFilter(self._take)
        logging.getLogger(_ENDED).addFilter(_is_no_repetition)
        logging.getLogger(_RENAMED).addFilter(self._take_not_renamed)
        # Found there before Python's own.
        vars(sdk_worker)["print"] = self._hold
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del vars(sdk_worker)["print"]
        logging.getLogger(_RENAMED).removeFilter(self._take_not_renamed)
        logging.getLogger(_ENDED).removeFilter(_is_no_repetition)
        logging.getLogger(_RAISED).removeFilter(self._take)
        if not self._can_be_told_in_a_line():
            for printed in self._printed:
                print(printed, file=sys.stderr)

    def of_the_system(self) -> OSError | None:
        """The error of a disk or the like that made functions fail, where it was one."""
        if not self._can_be_told_in_a_line():
            return None
        return next(filter(None, map(system_error, self._raised)), None)

    def _can_be_told_in_a_line(self) -> bool:
        expected = (OSError, ColorizerError)
        return bool(self._raised) and all(isinstance(error, expected) for error in self._raised)

    def _take(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            stands_for_others = self._not_renamed and str(error).startswith(_NOT_RENAMED)
            self._raised += self._not_renamed if stands_for_others else [error]
        return error is None

    def _take_not_renamed(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        errors = [one for one in arguments if isinstance(one, OSError)]
        self._not_renamed += errors
        return not errors

    def _hold(self, printed: object, **_: object) -> None:
        self._printed.append(str(printed))


def _is_no_repetition(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Error processing instruction")
