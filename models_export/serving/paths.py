"""The URLs of the REST interface (TensorFlow Serving's http_rest_api_util.cc)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from models_export.serving.statuses import invalid

_WHICH = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_PREDICTION = re.compile(
    rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)", re.IGNORECASE | re.ASCII
)
_STATUS = re.compile(rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_INT64 = 2**63


@dataclass(frozen=True)
class Target:
    """What a URL names.

    Attributes:
        action: "predict", "classify", "regress", "status" or "metadata".
        model: name of the model; empty where there is none.
        version: its version, if one is named.
        label: the label of a version, if one is named.
    """

    action: str
    model: str
    version: int | None = None
    label: str | None = None


def parse_path(method: str, path: str) -> Target:
    """Reads a path below /v1/, percent-encoded as it came.

    Raises:
        ServingError: it is malformed, or the method does not go with it.
    """
    pattern = {"POST": _PREDICTION, "GET": _STATUS}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise invalid(f"Malformed request: {method} {path}")
    model, version, label, action = match.groups()
    number = None
    if version is not None:
        number = int(version)
        if number >= _INT64:
            raise invalid(f"Failed to convert version: {version} to numeric.")
    if method == "GET":
        action = action or "status"
    return Target(
        action.lower(), unquote(model or ""), number, None if label is None else unquote(label)
    )
