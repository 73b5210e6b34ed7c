"""Waiting until all workers are there, in Python: TensorFlow, while it waits, hears no signal."""

import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from colorizer.training.cluster import Cluster
from pipelines.errors import ColorizerError, WorkerLostError

_GO = b"go"
# Seconds between two attempts, and at most for a word of somebody who has called.
_PAUSE = 0.3
_PATIENCE = 5.0


def meet(cluster: Cluster, minutes: float) -> None:
    """Returns when all workers have called: each calls the chief, at its own address.

    The address is free again afterwards, for TensorFlow.

    Raises:
        WorkerLostError: not all came in so many minutes.
        ColorizerError: the chief's port is taken.
    """
    deadline = time.monotonic() + 60 * minutes
    if cluster.index:
        _call(cluster, deadline, minutes)
    else:
        _gather(cluster, deadline, minutes)


def _gather(cluster: Cluster, deadline: float, minutes: float) -> None:
    _, port = _split(cluster.addresses[0])
    expected = range(1, len(cluster.addresses))
    callers: dict[int, socket.socket] = {}
    with ExitStack() as opened:
        try:
            listener = opened.enter_context(socket.create_server(("", port)))
        except OSError as error:
            words = error.strerror or error
            raise ColorizerError(f"worker 0 cannot listen on port {port}: {words}") from None
        listener.settimeout(_PAUSE)
        while len(callers) < len(expected):
            if time.monotonic() >= deadline:
                missing = [index for index in expected if index not in callers]
                raise WorkerLostError(_told(cluster, missing, minutes))
            with suppress(OSError):
                caller = opened.enter_context(listener.accept()[0])
                caller.settimeout(_PATIENCE)
                word = caller.recv(16)
                # Who else may call, a health check say, is passed over.
                if word.isdigit() and int(word) in expected:
                    callers[int(word)] = caller
            callers = {index: one for index, one in callers.items() if _is_there(one)}
        for caller in callers.values():
            with suppress(OSError):
                caller.settimeout(_PATIENCE)
                caller.sendall(_GO)
                # The caller hangs up first, which leaves the port free at once.
                caller.recv(1)


def _is_there(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _call(cluster: Cluster, deadline: float, minutes: float) -> None:
    while time.monotonic() < deadline:
        with suppress(OSError):
            chief = _split(cluster.addresses[0])
            with socket.create_connection(chief, timeout=_PATIENCE) as connection:
                connection.sendall(str(cluster.index).encode())
                connection.settimeout(max(_PAUSE, deadline - time.monotonic()))
                if connection.recv(16) == _GO:
                    return
        time.sleep(_PAUSE)
    raise WorkerLostError(_told(cluster, [0], minutes))


def _told(cluster: Cluster, missing: Iterable[int], minutes: float) -> str:
    names = ", ".join(f"worker {index} ({cluster.addresses[index]})" for index in missing)
    return f"worker {cluster.index} has waited {minutes:g} minutes for {names}"


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
