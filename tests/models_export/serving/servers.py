"""The command `python -m models_export.serve` in a process of its own, for tests."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

ROOT = Path(__file__).resolve().parents[3]


def command(*flags: str | Path) -> list[str]:
    return [sys.executable, "-m", "models_export.serve", *map(str, flags)]


@contextmanager
def served(
    base_path: Path, *flags: str, quiet: bool = True
) -> Iterator[tuple[httpx.Client, subprocess.Popen]]:
    """A server on a free port; it must end with 0 on SIGTERM, and complain of nothing.

    Without `quiet` it may, as libjpeg does of damaged files, but of no fault of its own.
    """
    ports = ("--rest_api_port", "0", "--port", "0")
    words = command("--model_base_path", base_path, *ports, *flags)
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + (process.stderr.read() if process.stderr else "")
        with httpx.Client(base_url=found[0], timeout=120) as client:
            deadline = time.monotonic() + 120
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline, "never ready"
                time.sleep(0.1)
            yield client, process
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        # What TensorFlow's own log says (no GPU, a photo cut off) depends on how it is set.
        told = [line for line in errors.splitlines() if not re.match(r"[EWI]\d{4} ", line)]
        if not quiet:
            told = [line for line in told if re.search("Traceback|Exception|Error", line)]
        assert not told, "\n".join(told[:50])
    finally:
        process.kill()
        process.wait()
