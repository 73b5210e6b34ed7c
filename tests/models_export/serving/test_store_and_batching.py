"""Versions that come and go, and requests that run together."""

import gc
import shutil
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from models_export.serving.batching import Batcher, BatchingParameters
from models_export.serving.predictor import Predictor
from models_export.serving.servable import Servable, load_warm
from models_export.serving.statuses import Code, ServingError
from models_export.serving.store import ModelConfig, ModelStore, State


def states(store: ModelStore) -> dict[int, State]:
    return {status.version: status.state for status in store.statuses("m")}


@pytest.fixture
def folder(base_path: Path, tmp_path: Path) -> Path:
    """A base path of its own, with version 1."""
    shutil.copytree(base_path / "123", tmp_path / "m" / "1")
    return tmp_path / "m"


def test_the_highest_version_answers_and_a_new_one_takes_over(folder):
    store = ModelStore({"m": ModelConfig(folder)}, load_warm)
    assert not store.is_ready
    store.update()
    assert store.is_ready and states(store) == {1: State.AVAILABLE}
    held = store.get("m")
    shutil.copytree(folder / "1", folder / "2")
    (folder / "not_a_version").mkdir()
    store.update()
    assert store.get("m").version == 2
    assert states(store) == {1: State.END, 2: State.AVAILABLE}
    # A request that began with the old one finishes on it.
    np.testing.assert_array_equal(held.run("", {"x": np.float32([2])})["y"], [3])
    with pytest.raises(ServingError, match=r"Specific\(m, 1\)"):
        store.get("m", 1)


def test_a_version_that_fails_leaves_the_old_one_at_work(folder, capsys):
    store = ModelStore({"m": ModelConfig(folder)}, load_warm)
    store.update()
    (folder / "2").mkdir()
    (folder / "2" / "saved_model.pb").write_bytes(b"\xff\xff")
    store.update()
    assert store.get("m").version == 1
    assert states(store) == {1: State.AVAILABLE, 2: State.END}
    (failed,) = store.statuses("m", 2)
    assert failed.code is Code.INTERNAL and "is damaged" in failed.message
    assert "model m, version 2: cannot be served: " in capsys.readouterr().err
    shutil.rmtree(folder / "2")
    store.update()
    assert states(store) == {1: State.AVAILABLE}


def test_a_loader_that_breaks_is_told_too(folder):
    def broken(name: str, version: int, folder: Path) -> Servable:
        raise KeyError("x")

    store = ModelStore({"m": ModelConfig(folder)}, broken)
    store.update()
    (status,) = store.statuses("m")
    assert (status.state, status.code) == (State.END, Code.INTERNAL)
    assert status.message == "KeyError: 'x'"


def test_versions_that_are_removed_are_dropped(folder):
    store = ModelStore({"m": ModelConfig(folder)}, load_warm)
    store.update()
    shutil.rmtree(folder / "1")
    store.update()
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        store.get("m")
    assert not store.is_ready


def test_chosen_versions_answer_side_by_side(folder):
    for version in (2, 3):
        shutil.copytree(folder / "1", folder / str(version))
    config = ModelConfig(folder, versions=(1, 3), labels={"old": 1})
    store = ModelStore({"m": config}, load_warm)
    store.update()
    assert states(store) == {1: State.AVAILABLE, 3: State.AVAILABLE}
    assert store.get("m").version == 3 and store.get("m", label="old").version == 1


class Recorder:
    """A servable that notes the batches it gets, and may be held up."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Event()

    def run(self, signature: str, inputs: dict) -> dict:
        self.began.set()
        assert self.go.wait(30)
        x = inputs["x"]
        self.batches.append(len(x))
        if np.isnan(x.astype(np.float64)).any():
            raise ServingError(Code.INVALID_ARGUMENT, "a bad one")
        return {"y": 2 * x}


def held_up(batcher: Batcher, recorder: Recorder):
    """Keeps the batcher busy, so that what comes now waits together."""
    recorder.go.clear()
    first = batcher.submit(recorder, "", {"x": np.zeros(1)})
    assert recorder.began.wait(30)
    return first


def test_requests_that_wait_together_run_together_and_get_their_own():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(max_batch_size=4, batch_timeout_micros=0))
    first = held_up(batcher, recorder)
    waiting = [batcher.submit(recorder, "", {"x": np.full(n, float(n))}) for n in (1, 2, 3)]
    other = batcher.submit(recorder, "", {"x": np.ones((1, 5))})
    recorder.go.set()
    for number, answer in enumerate(waiting, start=1):
        np.testing.assert_array_equal(answer.result(30)["y"], np.full(number, 2.0 * number))
    assert other.result(30)["y"].shape == (1, 5) and first.result(30)
    # 1 + 2 fit into a batch of 4, 3 does not; another shape runs apart.
    assert recorder.batches == [1, 3, 3, 1]
    batcher.close()


def test_requests_of_two_kinds_in_turn_run_as_two_batches():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(max_batch_size=8, batch_timeout_micros=0))
    held_up(batcher, recorder)
    kinds = [np.ones((2, 3)), np.ones((2, 5)), np.ones((2, 3)), np.ones((2, 5))]
    answers = [batcher.submit(recorder, "", {"x": number * x}) for number, x in enumerate(kinds)]
    recorder.go.set()
    for number, (answer, x) in enumerate(zip(answers, kinds, strict=True)):
        np.testing.assert_array_equal(answer.result(30)["y"], 2 * number * x)
    assert recorder.batches == [1, 4, 4]
    batcher.close()


def test_only_the_request_that_is_to_blame_hears_of_it():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(max_batch_size=8))
    held_up(batcher, recorder)
    good, bad, better = (batcher.submit(recorder, "", {"x": np.array([x])}) for x in (1, np.nan, 2))
    recorder.go.set()
    assert (good.result(30)["y"], better.result(30)["y"]) == ([2], [4])
    with pytest.raises(ServingError, match="a bad one"):
        bad.result(30)
    batcher.close()


def test_a_full_queue_refuses_at_once():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(max_batch_size=2, max_enqueued_batches=1))
    held_up(batcher, recorder)
    waiting = [batcher.submit(recorder, "", {"x": np.zeros(1)}) for _ in range(2)]
    with pytest.raises(
        ServingError, match="queue to which this task was submitted is full"
    ) as full:
        batcher.submit(recorder, "", {"x": np.zeros(1)})
    assert full.value.code is Code.UNAVAILABLE
    recorder.go.set()
    assert all(answer.result(30) for answer in waiting)
    batcher.close()


def test_closing_answers_what_waits_and_takes_no_more():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(batch_timeout_micros=10_000_000))
    answer = batcher.submit(recorder, "", {"x": np.ones(1)})
    began = time.monotonic()
    batcher.close()
    assert time.monotonic() - began < 5 and answer.result(0)["y"] == [2]
    with pytest.raises(ServingError, match="shutting down"):
        batcher.submit(recorder, "", {"x": np.ones(1)})


def test_a_lone_request_waits_no_longer_than_the_timeout():
    recorder = Recorder()
    batcher = Batcher(BatchingParameters(max_batch_size=100, batch_timeout_micros=1000))
    assert batcher.submit(recorder, "", {"x": np.ones(1)}).result(30)["y"] == [2]
    batcher.close()


def test_what_the_model_refuses_is_told_and_not_found_is_not_found(base_path, tmp_path):
    servable = Servable("m", 1, base_path / "123")
    with pytest.raises(ServingError) as refused:
        servable.run("matrix", {"x": np.zeros((2, 2), np.float32), "more": np.zeros(1)})
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "Sent extra: {more}. Missing but required: {}." in refused.value.message
    with pytest.raises(ServingError, match="Could not find SavedModel") as missing:
        Servable("m", 1, tmp_path)
    assert missing.value.code is Code.NOT_FOUND


def test_a_request_that_failed_is_forgotten_at_once(base_path):
    """Without the garbage collector, which looks at what is old once in hours."""
    servable, batcher = Servable("m", 1, base_path / "123"), Batcher()
    predictor = Predictor(batcher, max_pixels=1_000_000, timeout_seconds=60)
    gc.collect()
    gc.disable()
    try:
        sent = np.array(["no number"], object)
        forgotten = weakref.ref(sent)
        try:
            predictor.predict(servable, "", {"x": sent})
        except ServingError as error:
            assert error.code is Code.INVALID_ARGUMENT
        else:
            pytest.fail("the model takes what it cannot")
        del sent
        batcher.close()
        assert forgotten() is None
    finally:
        gc.enable()
