"""The launcher of local workers; tests/integration/test_workers.py trains with it."""

import json
import socket

import pytest


@pytest.fixture
def launcher(import_script):
    return import_script("train_workers")


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0),
        # Killed, or lost for a reason that nobody tells: again.
        ([75, -9], None),
        ([-9, -9], None),
        ([75, 75], None),
        ([0, 75], None),
        # One failed by itself, the other missed it.
        ([1, 75], 1),
        ([75, 2], 2),
        ([1, -9], 1),
        # Told to stop.
        ([143, 143], 143),
        ([130, 130], 130),
        ([143, 0], 143),
    ],
)
def test_exit_codes_decide_what_comes_next(launcher, codes, code):
    assert launcher.judged(codes) == code


def test_ports_are_free_and_different(launcher):
    ports = launcher.free_ports(8)
    assert len(set(ports)) == 8
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_workers_are_told_of_each_other(launcher):
    told = [json.loads(launcher.tf_config(["a:1", "b:2"], index)) for index in range(2)]
    assert {json.dumps(one["cluster"]) for one in told} == {'{"worker": ["a:1", "b:2"]}'}
    assert [one["task"] for one in told] == [{"type": "worker", "index": i} for i in range(2)]


def test_arguments_of_fit_must_be_given(launcher, capsys):
    with pytest.raises(SystemExit) as caught:
        launcher.main(["--workers", "2"])
    assert caught.value.code == 2
    assert "they stand after --" in capsys.readouterr().err


def test_usage_errors_of_fit_are_not_tried_again(launcher, capfd, tmp_path):
    with pytest.raises(SystemExit) as caught:
        launcher.main(["--", "--data", str(tmp_path), "--run-dir", str(tmp_path), "--nonsense"])
    assert caught.value.code == 2
    assert "begin again" not in capfd.readouterr().err
