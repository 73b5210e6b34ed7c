"""Requests to the REST interface and their answers, apart from HTTP itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models_export.serving import images
from models_export.serving.json_requests import read_predict_request
from models_export.serving.json_responses import error_response, predict_response
from models_export.serving.paths import Target, parse_path
from models_export.serving.predictor import Predictor
from models_export.serving.servable import Servable
from models_export.serving.statuses import HTTP_STATUS, Code, ServingError, invalid
from models_export.serving.store import ModelStore, VersionStatus


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        code: gRPC's status.
        body: JSON.
        model: the model that was asked; empty where the request named none.
        action: what was asked of it; empty likewise.
    """

    code: Code
    body: bytes
    model: str = ""
    action: str = ""

    @property
    def http_status(self) -> int:
        """The status over HTTP."""
        return HTTP_STATUS[self.code]


class RestApi:
    """Answers the requests below /v1/.

    Args:
        store: the models.
        predictor: runs them.
    """

    def __init__(self, store: ModelStore, predictor: Predictor) -> None:
        self._store = store
        self._predictor = predictor

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answers a request; never raises.

        Args:
            method: of HTTP.
            path: percent-encoded as it came, without the query.
            body: of the request.
        """
        target = Target("", "")
        try:
            target = parse_path(method, path)
            code, content = Code.OK, self._body(target, body)
        except ServingError as error:
            code, content = error.code, error_response(error.message)
        return Answer(code, content, target.model, target.action)

    def photo_models(self) -> list[str]:
        """Names the models that answer a photo by default."""
        return [name for name in self._store.names if self._takes_photos(name)]

    def _takes_photos(self, name: str) -> bool:
        try:
            return set(self._store.get(name).inputs("")) == {images.INPUT}
        except ServingError:
            # It is still loading, or failed to.
            return False

    def _body(self, target: Target, body: bytes) -> bytes:
        if target.action == "predict":
            return self._predict(target, body)
        if target.action in ("classify", "regress"):
            return self._on_examples(target)
        if not target.model:
            raise invalid("Missing model name in request.")
        if target.action == "metadata":
            return _metadata(self._servable(target))
        statuses = self._store.statuses(target.model, target.version, target.label)
        return _laid_out({"model_version_status": [_status(status) for status in statuses]})

    def _predict(self, target: Target, body: bytes) -> bytes:
        servable = self._servable(target)

        def kinds(signature: str) -> Mapping[str, str]:
            return {name: one.kind for name, one in servable.inputs(signature).items()}

        request = read_predict_request(body, kinds)
        outputs = self._predictor.predict(servable, request.signature, request.inputs)
        return predict_response(outputs, request.row_format)

    def _servable(self, target: Target) -> Servable:
        return self._store.get(target.model, target.version, target.label)

    def _on_examples(self, target: Target) -> bytes:
        """Classification and regression take tf.Examples, which no colorizer does."""
        self._servable(target)
        raise invalid(
            f"Expected {'classification' if target.action == 'classify' else 'regression'}"
            f" signature method_name to be tensorflow/serving/{target.action}."
            " Was: tensorflow/serving/predict"
        )


def _status(status: VersionStatus) -> dict[str, Any]:
    told = {"error_code": status.code.name, "error_message": status.message}
    return {"version": str(status.version), "state": status.state.value, "status": told}


def _metadata(servable: Servable) -> bytes:
    name, version = servable.name, str(servable.version)
    spec = {"name": name, "signature_name": "", "version": version}
    definitions = {"signature_def": {"signature_def": servable.metadata()}}
    return _laid_out({"model_spec": spec, "metadata": definitions})


def _laid_out(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
