"""The gRPC interface: TensorFlow Serving's PredictionService and ModelService.

Needs the extra `grpc`, whose package has the official stubs.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from models_export.serving.metrics import Metrics
from models_export.serving.predictor import Predictor
from models_export.serving.servable import DEFAULT_SIGNATURE, Servable
from models_export.serving.statuses import Code, ServingError, invalid
from models_export.serving.store import ModelStore

Message = Any

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SIGNATURES = "signature_def"


def start_grpc(
    store: ModelStore,
    predictor: Predictor,
    metrics: Metrics,
    *,
    address: str,
    threads: int,
    max_bytes: int,
) -> grpc.Server:
    """Starts the interface.

    Args:
        store: the models.
        predictor: runs them.
        metrics: counts requests.
        address: host and port to listen on.
        threads: requests worked on at once; what comes then is refused.
        max_bytes: of a message, either way.

    Raises:
        RuntimeError: the address cannot be listened on.
    """
    server = grpc.server(
        ThreadPoolExecutor(threads, "grpc"),
        maximum_concurrent_rpcs=threads,
        options=[
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", -1),
            # Else two servers could listen on one port and share its requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(store, predictor, metrics), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(store, metrics), server)
    server.add_insecure_port(address)
    server.start()
    return server


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; what no colorizer has is UNIMPLEMENTED."""

    def __init__(self, store: ModelStore, predictor: Predictor, metrics: Metrics) -> None:
        self._store = store
        self._predictor = predictor
        self._counted = _Counted(store, metrics)

    def Predict(self, request: Message, context: grpc.ServicerContext) -> Message:
        """Runs a signature."""
        return self._counted("predict", self._predict, request, context)

    def GetModelMetadata(self, request: Message, context: grpc.ServicerContext) -> Message:
        """Tells the signatures of a model."""
        return self._counted("metadata", self._metadata, request, context)

    def _predict(self, request: Message) -> Message:
        servable = _servable(self._store, request)
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature not in servable.definitions:
            raise ServingError(
                Code.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.'
            )
        wanted = _checked_filter(request.output_filter, servable, signature)
        inputs = {name: _array(tensor) for name, tensor in request.inputs.items()}
        outputs = self._predictor.predict(servable, signature, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = signature
        for name in wanted or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def _metadata(self, request: Message) -> Message:
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != _SIGNATURES:
                raise invalid(f"Metadata field {name} is not supported")
        servable = _servable(self._store, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata[_SIGNATURES].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; configurations are not reloaded."""

    def __init__(self, store: ModelStore, metrics: Metrics) -> None:
        self._store = store
        self._counted = _Counted(store, metrics)

    def GetModelStatus(self, request: Message, context: grpc.ServicerContext) -> Message:
        """Tells the versions of a model and their states."""
        return self._counted("status", self._status, request, context)

    def _status(self, request: Message) -> Message:
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._store.statuses(*_which(request)):
            told = response.model_version_status.add(version=status.version)
            told.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state.value)
            told.status.error_code = int(status.code)
            told.status.error_message = status.message
        return response


class _Counted:
    """Answers a request, or aborts it, and counts it."""

    def __init__(self, store: ModelStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def __call__(
        self,
        action: str,
        answer: Callable[[Message], Message],
        request: Message,
        context: grpc.ServicerContext,
    ) -> Message:
        started = time.monotonic()
        code = Code.UNKNOWN
        try:
            response = answer(request)
            code = Code.OK
        except ServingError as error:
            code = error.code
            _abort(context, error)
        finally:
            name = request.model_spec.name
            known = name if name in self._store.names else ""
            self._metrics.take(known, action, code, time.monotonic() - started, "GRPC")
        return response


def _servable(store: ModelStore, request: Message) -> Servable:
    return store.get(*_which(request))


def _which(request: Message) -> tuple[str, int | None, str | None]:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label or None


def _checked_filter(names: list[str], servable: Servable, signature: str) -> list[str]:
    known = servable.definitions[signature].outputs
    for number, name in enumerate(names):
        if name not in known:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the"
                f" set {{{','.join(sorted(known))}}}."
            )
        if name in names[:number]:
            raise invalid(f"duplicate output tensor alias: {name}")
    return list(names)


def _array(tensor: Message) -> np.ndarray:
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid tensor: {error}") from error


def _abort(context: grpc.ServicerContext, error: ServingError) -> NoReturn:
    context.abort(_GRPC_CODES[int(error.code)], error.message)
    raise AssertionError("abort raises")
