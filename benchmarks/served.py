"""A server of the colorizer that ships, in a process of its own, and plain clients for it."""

import base64
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PREDICT = "/v1/models/colorizer:predict"
BATCH = 16
_TIMEOUT_MICROS = 2000
_READY_SECONDS = 300


class Process(NamedTuple):
    """A server that runs.

    Attributes:
        pid: its process.
        address: host and port.
    """

    pid: int
    address: str

    def resident_mebibytes(self) -> float:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) / 1024

    def open_files(self) -> int:
        """Its file handles, sockets among them."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: of HTTP; 0: none came.
        body: its bytes, or what went wrong.
        seconds: that it took.
    """

    status: int
    body: bytes
    seconds: float

    def photos(self) -> list[bytes]:
        """The coloured photos, PNG files."""
        return [base64.b64decode(one["b64"]) for one in json.loads(self.body)["predictions"]]


class Client:
    """One client with one connection.

    Args:
        address: host and port.
    """

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=120)

    def post(self, body: bytes, path: str = PREDICT) -> Answer:
        """Asks once."""
        started = time.perf_counter()
        try:
            self._connection.request("POST", path, body)
            response = self._connection.getresponse()
            content, status = response.read(), response.status
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            content, status = repr(error).encode(), 0
        return Answer(status, content, time.perf_counter() - started)


def photo_body(photo: bytes) -> bytes:
    """The body of a request to colour one photo."""
    encoded = base64.b64encode(photo).decode()
    return json.dumps({"instances": [{"b64": encoded}]}).encode()


def batching_flags(folder: Path) -> tuple[str, ...]:
    """Flags that turn batching on; `folder` is where the parameters are written."""
    file = folder / "batching.txt"
    file.write_text(
        f"max_batch_size {{ value: {BATCH} }} batch_timeout_micros {{ value: {_TIMEOUT_MICROS} }}",
        encoding="utf-8",
    )
    return "--enable_batching", "--batching_parameters_file", str(file)


@contextmanager
def served(base_path: Path, *flags: str) -> Iterator[Process]:
    """Starts a server on a free port; it must end with 0 on SIGTERM."""
    command = (sys.executable, "-m", "models_export.serve", "--model_base_path", str(base_path))
    ports = ("--rest_api_port", "0", "--port", "0")
    process = subprocess.Popen((*command, *ports, *flags), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().split()[-1]).netloc
        _wait_until_ready(address)
        yield Process(process.pid, address)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        assert code == 0, f"the server ended with {code}"
    finally:
        process.kill()


def together(count: int, work: Callable[[int], Any]) -> None:
    """Runs `work(number)` in so many threads at once, and waits for all."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise TimeoutError(f"{address}: not ready after {_READY_SECONDS} s")
