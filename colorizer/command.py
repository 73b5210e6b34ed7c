"""What all commands share: parsing, exit codes, one clear line on failure.

Exit codes: 0 success, 1 failure, 2 wrong usage, 75 where another worker of a training is gone, 130
after Ctrl-C, 143 after SIGTERM.
"""

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from textwrap import indent
from types import FrameType
from typing import TypeVar

import tyro

from pipelines import native_logs
from pipelines.errors import ColorizerError, NotWrittenError, UsageError, WorkerLostError

Arguments = TypeVar("Arguments")


class Terminated(BaseException):
    """SIGTERM arrived. Not an `Exception`: only what cleans up on the way out may catch it."""


def parse(
    arguments_type: type[Arguments],
    *,
    prog: str,
    description: str,
    examples: str = "",
    argv: Sequence[str] | None = None,
    default: Arguments | None = None,
) -> Arguments:
    """Parses the command line into `arguments_type`, a pydantic model or a dataclass.

    Wrong usage prints what is wrong and exits with 2, `--help` exits with 0 and shows `examples`,
    command lines with a word on each, below the description. Values given in `default` stand in
    for flags that are left out.
    """
    if examples:
        description = f"{description}\n\nExamples:\n{indent(examples.strip(), '  ')}"
    if default is None:
        return tyro.cli(arguments_type, prog=prog, description=description, args=argv)
    return tyro.cli(arguments_type, prog=prog, description=description, args=argv, default=default)


def run(command: Callable[[], int | None]) -> None:
    """Runs a command to its end and exits with its code, as the contract above says.

    Set COLORIZER_DEBUG=1 to see the traceback of a failure.
    """
    signal.signal(signal.SIGTERM, _raise_terminated)
    # A file name may hold bytes that are no UTF-8.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command() or 0
        sys.stdout.flush()
    except UsageError as error:
        code = _report(error, 2)
    except WorkerLostError as error:
        code = _report(error, os.EX_TEMPFAIL)
    except KeyboardInterrupt:
        code = 130
    except Terminated:
        code = 143
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`): nothing is left to say to it.
        _close_stdout()
        code = 1
    except Exception as error:
        unprinted = _of_stdout()
        code = _report(unprinted if unprinted and isinstance(error, OSError) else error, 1)
    sys.exit(code)


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up remarks; commands call it after parsing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_logs.held_back():
        import tensorflow  # noqa: F401


def note(message: str) -> None:
    """Prints a line of progress on stderr."""
    print(message, file=sys.stderr, flush=True)


def _of_stdout() -> NotWrittenError | None:
    """Says why what was printed cannot be written, where that is so: `> results`, disk full."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _close_stdout()
        return NotWrittenError("stdout", error)
    return None


def _close_stdout() -> None:
    # Else Python would try again at its end, and fail with words and an exit code of its own.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exception, code: int) -> int:
    if os.environ.get("COLORIZER_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, ColorizerError):
        message = str(error)
    elif isinstance(error, OSError) and error.filename and error.strerror:
        message = f"{os.fsdecode(error.filename)}: {error.strerror}"
    else:
        message = f"{type(error).__name__}: {error}"
    lines = message.strip().splitlines() or [type(error).__name__]
    note(f"error: {lines[0]}")
    return code


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated
