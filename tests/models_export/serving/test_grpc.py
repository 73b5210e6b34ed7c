"""The gRPC interface, asked through TensorFlow Serving's own stubs."""

import re
import socket
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from models_export.serving.grpc_service import start_grpc
from models_export.serving.metrics import Metrics

NAME = "half_plus_two"


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="module")
def channel(store, predictor, metrics) -> Iterator[grpc.Channel]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = start_grpc(store, predictor, metrics, address=address, threads=4, max_bytes=1 << 20)
    with grpc.insecure_channel(address) as channel:
        yield channel
    server.stop(None).wait()


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(inputs: dict, **spec) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = spec.pop("name", NAME)
    if "version" in spec:
        made.model_spec.version.value = spec.pop("version")
    for field, value in spec.items():
        setattr(made.model_spec, field, value)
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


X = {"x": np.float32([1, 2])}


@pytest.mark.parametrize(
    ("spec", "version"), [({}, 124), ({"version": 123}, 123), ({"version_label": "stable"}, 123)]
)
def test_predict(predictions, spec, version):
    answer = predictions.Predict(request(X, **spec))
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), [2.5, 3.0])
    told = answer.model_spec
    assert (told.name, told.version.value) == (NAME, version)
    assert told.signature_name == "serving_default"


def test_strings_and_chosen_outputs(predictions):
    made = request({"text": [b"\xff", b"a"]}, signature_name="strings")
    made.output_filter.append("same_bytes")
    answer = predictions.Predict(made)
    assert list(answer.outputs) == ["same_bytes"]
    assert tf.make_ndarray(answer.outputs["same_bytes"]).tolist() == [b"\xff", b"a"]


def filtered(*names: str) -> predict_pb2.PredictRequest:
    made = request(X)
    made.output_filter.extend(names)
    return made


def damaged() -> predict_pb2.PredictRequest:
    made = request(X)
    made.inputs["x"].tensor_content = b"123"
    return made


BAD = [
    (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (request(X, name="foo"), "NOT_FOUND", "Servable not found for request: Latest(foo)"),
    (
        request(X, version=9),
        "NOT_FOUND",
        "Servable not found for request: Specific(half_plus_two, 9)",
    ),
    (
        request(X, version_label="none"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: none",
    ),
    (
        request(X, signature_name="x"),
        "FAILED_PRECONDITION",
        'Serving signature key "x" not found.',
    ),
    (
        request({"z": np.float32([1])}),
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=1 len({z}) != len({x}). Sent extra: {z}."
        " Missing but required: {x}.",
    ),
    (
        filtered("z"),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
    ),
    (filtered("y", "y"), "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
    (damaged(), "INVALID_ARGUMENT", "Invalid tensor"),
    (request({"x": [b"text"]}), "INVALID_ARGUMENT", ""),
]


@pytest.mark.parametrize(("made", "code", "message"), BAD)
def test_bad_requests(predictions, made, code, message):
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Predict(made)
    assert refused.value.code().name == code
    assert message in refused.value.details()


def test_metadata(predictions):
    made = get_model_metadata_pb2.GetModelMetadataRequest()
    made.model_spec.name = NAME
    with pytest.raises(grpc.RpcError, match="must specify at least one metadata_field"):
        predictions.GetModelMetadata(made)
    made.metadata_field.append("signature_def")
    answer = predictions.GetModelMetadata(made)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert found.signature_def["serving_default"].method_name == "tensorflow/serving/predict"
    assert answer.model_spec.version.value == 124
    made.metadata_field.append("x")
    with pytest.raises(grpc.RpcError, match="Metadata field x is not supported"):
        predictions.GetModelMetadata(made)


def test_status(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    made = get_model_status_pb2.GetModelStatusRequest()
    made.model_spec.name = NAME
    found = models.GetModelStatus(made).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(one.version, one.state) for one in found] == [(123, available), (124, available)]
    made.model_spec.name = "foo"
    with pytest.raises(grpc.RpcError, match="Could not find any versions of model foo"):
        models.GetModelStatus(made)


def test_requests_are_counted(predictions, metrics):
    predictions.Predict(request(X))
    for spec in ({"name": "made_up"}, {"version_label": "none"}):
        with pytest.raises(grpc.RpcError):
            predictions.Predict(request(X, **spec))
    page = metrics.page().decode()
    for series in (
        r'request_count\{model_name="half_plus_two",status="OK"\} [1-9]',
        r'request_count\{model_name="half_plus_two",status="INVALID_ARGUMENT"\} [1-9]',
        r'request_count\{model_name="",status="NOT_FOUND"\} [1-9]',
        r'latency_count\{API="predict",entrypoint="GRPC",model_name="half_plus_two"\} [1-9]',
    ):
        assert re.search(series, page), page
    assert "made_up" not in page


def test_what_no_colorizer_has_is_unimplemented(predictions):
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Classify(classification_pb2.ClassificationRequest())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_messages_that_are_too_large_are_refused(predictions):
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Predict(request({"x": np.zeros(1 << 19, np.float32)}))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
