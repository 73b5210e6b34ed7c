import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from colorizer.training.cluster import Cluster
from colorizer.training.meeting import meet
from pipelines.errors import ColorizerError, WorkerLostError


@pytest.fixture
def addresses() -> tuple[str, ...]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    # The chief's alone is listened on.
    return (f"127.0.0.1:{port}", "b.example:1", "c.example:1")


def attempt(cluster: Cluster, minutes: float) -> str:
    try:
        meet(cluster, minutes)
    except ColorizerError as error:
        return f"{type(error).__name__}: {error}"
    return "met"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_meet_whoever_is_first(addresses, order):
    with ThreadPoolExecutor(3) as pool:
        told = []
        for index in order:
            told.append(pool.submit(attempt, Cluster(addresses, index), 0.5))
            time.sleep(0.2)
        assert [one.result() for one in told] == ["met"] * 3
    # The port is free for TensorFlow, at once.
    with socket.create_server(("", int(addresses[0].rpartition(":")[2]))):
        pass


def test_who_is_missing_is_named(addresses):
    with ThreadPoolExecutor(2) as pool:
        chief, other = (
            pool.submit(attempt, Cluster(addresses, index), minutes)
            for index, minutes in ((0, 0.01), (1, 0.03))
        )
        error = "WorkerLostError: worker 0 has waited 0.01 minutes for worker 2 (c.example:1)"
        assert chief.result() == error
        assert "worker 1 has waited 0.03 minutes for worker 0" in other.result()


def test_strangers_and_those_who_come_twice_do_no_harm(addresses):
    port = int(addresses[0].rpartition(":")[2])
    chief = threading.Thread(target=meet, args=(Cluster(addresses, 0), 0.5))
    chief.start()
    for word in (b"GET / HTTP/1.1\r\n\r\n", b"7", b"1", b""):
        with socket.socket() as stranger:
            while stranger.connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            stranger.sendall(word)
    with ThreadPoolExecutor(2) as pool:
        told = [pool.submit(attempt, Cluster(addresses, index), 0.5) for index in (1, 2)]
        assert [one.result() for one in told] == ["met", "met"]
    chief.join(10)
    assert not chief.is_alive()


def test_a_port_that_is_taken_is_an_error(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(ColorizerError, match=f"cannot listen on port {port}") as caught,
    ):
        meet(Cluster(addresses, 0), 0.5)
    assert not isinstance(caught.value, WorkerLostError)
