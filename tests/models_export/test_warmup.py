"""Warm-up records, read by TensorFlow Serving's own messages, and replayed by our server."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from models_export.export import export_run
from models_export.serving.servable import Servable, load_warm
from models_export.serving.statuses import Code, ServingError
from models_export.warmup import MAX_RECORDS, PLACE, read_warmup, write_warmup

SIGNATURES = ["serving_default", "colorize_bytes", "colorize_rgb", "predict_ab", "colorize_hinted"]


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(tiny_run, tmp_path_factory.mktemp("base"))


def test_an_export_carries_a_record_for_each_signature(exported):
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(str(exported / PLACE)).as_numpy_iterator()
    ]
    requests = [log.predict_log.request for log in logs]
    signatures = [request.model_spec.signature_name for request in requests]
    assert signatures == SIGNATURES
    assert {request.model_spec.name for request in requests} == {"colorizer"}
    assert tf.make_ndarray(requests[3].inputs["lightness"]).shape == (1, 64, 64, 1)


def test_a_server_replays_them_before_a_version_answers(exported, monkeypatch):
    replayed = []
    run = Servable.run
    monkeypatch.setattr(
        Servable, "run", lambda self, name, inputs: replayed.append(name) or run(self, name, inputs)
    )
    load_warm("colorizer", 1, exported)
    assert replayed == SIGNATURES


def test_what_is_written_is_read_again(tmp_path):
    inputs = {"a": np.float32([[1, 2]]), "b": np.array([b"\xff", b""], object)}
    write_warmup(tmp_path, "m", [("x", inputs), ("", {"a": np.int32(3)})])
    (first, values), (second, more) = read_warmup(tmp_path)
    assert (first, second) == ("x", "")
    for name, value in inputs.items():
        np.testing.assert_array_equal(values[name], value)
    assert more["a"] == 3
    assert list(read_warmup(tmp_path / "nowhere")) == []


def test_damaged_records(tmp_path):
    write_warmup(tmp_path, "m", [("x", {"a": np.zeros(50)})])
    whole = (tmp_path / PLACE).read_bytes()
    for content in (bytes(len(whole)), whole[:-20]):
        (tmp_path / PLACE).write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            list(read_warmup(tmp_path))


def test_too_many_records(tmp_path):
    write_warmup(tmp_path, "m", [("", {})] * (MAX_RECORDS + 1))
    with pytest.raises(ValueError, match="more than 1000"):
        list(read_warmup(tmp_path))


def test_a_version_whose_records_fail_does_not_answer(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "1")
    write_warmup(folder, "m", [("no_such_signature", {})])
    with pytest.raises(ServingError) as refused:
        load_warm("m", 1, folder)
    assert refused.value.code is Code.INVALID_ARGUMENT
