"""TensorFlow Serving's configuration files: protocol buffers in text form.

What is unknown in them is an error, as there.
"""

from pathlib import Path
from typing import Any

from google.protobuf import text_format

from models_export.serving import metrics
from models_export.serving.batching import BatchingParameters
from models_export.serving.messages import Field, message_class
from models_export.serving.store import ModelConfig
from pipelines.errors import ColorizerError

# model_server_config.proto, file_system_storage_path_source.proto, monitoring_config.proto,
# session_bundle_config.proto.
_MESSAGES = {
    "ModelServerConfig": {"model_config_list": Field("ModelConfigList", 1)},
    "ModelConfigList": {"config": Field("ModelConfig", 1, repeated=True)},
    "ModelConfig": {
        "name": Field("string", 1),
        "base_path": Field("string", 2),
        "model_platform": Field("string", 4),
        "model_version_policy": Field("Policy", 7),
        "version_labels": Field("Label", 8, repeated=True),
    },
    "Policy": {
        "latest": Field("Latest", 100),
        "all": Field("All", 101),
        "specific": Field("Specific", 102),
    },
    "Latest": {"num_versions": Field("uint32", 1)},
    "All": {},
    "Specific": {"versions": Field("int64", 1, repeated=True)},
    "Label": {"key": Field("string", 1), "value": Field("int64", 2)},
    "MonitoringConfig": {"prometheus_config": Field("PrometheusConfig", 1)},
    "PrometheusConfig": {"enable": Field("bool", 1), "path": Field("string", 2)},
    "Int64": {"value": Field("int64", 1)},
    "Text": {"value": Field("string", 1)},
    "BatchingParameters": {
        "max_batch_size": Field("Int64", 1),
        "batch_timeout_micros": Field("Int64", 2),
        "max_enqueued_batches": Field("Int64", 3),
        "num_batch_threads": Field("Int64", 4),
        "thread_pool_name": Field("Text", 5),
        "allowed_batch_sizes": Field("int64", 6, repeated=True),
        "pad_variable_length_inputs": Field("bool", 7),
    },
}


def read_models(path: Path) -> dict[str, ModelConfig]:
    """Reads a --model_config_file: the models by name.

    Raises:
        ColorizerError: it cannot be read, is no such file, or asks for what is not understood.
    """
    models: dict[str, ModelConfig] = {}
    for config in _read(path, "ModelServerConfig").model_config_list.config:
        if not config.name or not config.base_path:
            raise ColorizerError(f"{path}: a model lacks its name or its base_path")
        if config.name in models:
            raise ColorizerError(f"{path}: names the model {config.name!r} twice")
        if config.model_platform not in ("", "tensorflow"):
            raise ColorizerError(f"{path}: model_platform must be tensorflow")
        policy = config.model_version_policy
        latest = policy.latest.num_versions if policy.HasField("latest") else None
        models[config.name] = ModelConfig(
            Path(config.base_path),
            tuple(policy.specific.versions),
            {label.key: label.value for label in config.version_labels},
            latest=None if policy.HasField("all") else latest or 1,
        )
    if not models:
        raise ColorizerError(f"{path}: names no model")
    return models


def read_batching(path: Path) -> BatchingParameters:
    """Reads a --batching_parameters_file.

    Raises:
        ColorizerError: it cannot be read, is no such file, or a value makes no sense.
    """
    message = _read(path, "BatchingParameters")
    given = {}
    for name in ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches"):
        if message.HasField(name):
            least = 0 if name == "batch_timeout_micros" else 1
            given[name] = getattr(message, name).value
            if given[name] < least:
                raise ColorizerError(f"{path}: {name} must be at least {least}")
    return BatchingParameters(**given)


def read_metrics_path(path: Path) -> str | None:
    """Reads a --monitoring_config_file: where Prometheus asks; None: nowhere.

    Raises:
        ColorizerError: it cannot be read, or is no such file.
    """
    prometheus = _read(path, "MonitoringConfig").prometheus_config
    return (prometheus.path or metrics.PATH) if prometheus.enable else None


def _read(path: Path, name: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ColorizerError(f"{path}: cannot be read: {error}") from error
    try:
        return text_format.Parse(text, message_class(name, _MESSAGES)())
    except text_format.ParseError as error:
        raise ColorizerError(f"{path}: {error}") from error
