"""TensorFlow Serving's configuration files: protocol buffers in text form.

The messages are described here, as far as the server heeds them, because the package that has them
(tensorflow-serving-api) is an extra. What is unknown is an error, as there.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from models_export.serving import metrics
from models_export.serving.batching import BatchingParameters
from models_export.serving.store import ModelConfig
from pipelines.errors import ColorizerError

_PACKAGE = "colorizer.serving"
_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "bool": _Field.TYPE_BOOL,
}

# Name of a message: its fields, by name: type, and whether it is repeated. model_servers'
# model_server_config.proto, file_system_storage_path_source.proto, monitoring_config.proto,
# session_bundle_config.proto.
_MESSAGES: dict[str, dict[str, tuple[str, bool]]] = {
    "ModelServerConfig": {"model_config_list": ("ModelConfigList", False)},
    "ModelConfigList": {"config": ("ModelConfig", True)},
    "ModelConfig": {
        "name": ("string", False),
        "base_path": ("string", False),
        "model_platform": ("string", False),
        "model_version_policy": ("Policy", False),
        "version_labels": ("Label", True),
    },
    "Policy": {
        "latest": ("Latest", False),
        "all": ("All", False),
        "specific": ("Specific", False),
    },
    "Latest": {"num_versions": ("uint32", False)},
    "All": {},
    "Specific": {"versions": ("int64", True)},
    "Label": {"key": ("string", False), "value": ("int64", False)},
    "MonitoringConfig": {"prometheus_config": ("PrometheusConfig", False)},
    "PrometheusConfig": {"enable": ("bool", False), "path": ("string", False)},
    "Int64": {"value": ("int64", False)},
    "Text": {"value": ("string", False)},
    "BatchingParameters": {
        "max_batch_size": ("Int64", False),
        "batch_timeout_micros": ("Int64", False),
        "max_enqueued_batches": ("Int64", False),
        "num_batch_threads": ("Int64", False),
        "thread_pool_name": ("Text", False),
        "allowed_batch_sizes": ("int64", True),
        "pad_variable_length_inputs": ("bool", False),
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
    descriptor = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    try:
        return text_format.Parse(text, message_factory.GetMessageClass(descriptor)())
    except text_format.ParseError as error:
        raise ColorizerError(f"{path}: {error}") from error


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package=_PACKAGE)
    file.syntax = "proto3"
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, (name, (kind, repeated)) in enumerate(fields.items(), start=1):
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            field = described.field.add(name=name, number=number, label=label)
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind}"
    pool.Add(file)
    return pool
