"""TensorFlow Serving's configuration files."""

from pathlib import Path

import pytest

from models_export.serving.batching import BatchingParameters
from models_export.serving.store import ModelConfig
from models_export.serving.text_protos import read_batching, read_metrics_path, read_models
from pipelines.errors import ColorizerError

MODELS = """
model_config_list {
  config { name: "a" base_path: "/models/a" model_platform: "tensorflow" }
  config {
    name: "b"
    base_path: "/models/b"
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 5 }
  }
  config { name: "c" base_path: "/models/c" model_version_policy { all {} } }
  config { name: "d" base_path: "/models/d" model_version_policy { latest { num_versions: 2 } } }
}
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        (tmp_path / "config").write_text(text)
        return tmp_path / "config"

    return write


def test_models(written):
    assert read_models(written(MODELS)) == {
        "a": ModelConfig(Path("/models/a")),
        "b": ModelConfig(Path("/models/b"), (3, 5), {"stable": 3, "canary": 5}),
        "c": ModelConfig(Path("/models/c"), latest=None),
        "d": ModelConfig(Path("/models/d"), latest=2),
    }


def test_batching(written):
    text = """
    max_batch_size { value: 8 }
    batch_timeout_micros { value: 0 }
    max_enqueued_batches { value: 100 }
    num_batch_threads { value: 2 }
    """
    assert read_batching(written(text)) == BatchingParameters(8, 0, 100)
    assert read_batching(written("")) == BatchingParameters()


def test_monitoring(written):
    default = "/monitoring/prometheus/metrics"
    assert read_metrics_path(written("prometheus_config { enable: true }")) == default
    other = written('prometheus_config { enable: true path: "/metrics" }')
    assert read_metrics_path(other) == "/metrics"
    assert read_metrics_path(written("")) is None


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_models, "model_config_list {", "config: "),
        (read_models, "", "names no model"),
        (read_models, "model_config_list { config { name: 'a' } }", "base_path"),
        (read_models, "model_config_list { config { nme: 'a' } }", "nme"),
        (
            read_models,
            "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'other' } }",
            "must be tensorflow",
        ),
        (
            read_models,
            "model_config_list { config { name: 'a' base_path: '/a' }"
            " config { name: 'a' base_path: '/b' } }",
            "twice",
        ),
        (read_batching, "max_batch_size { value: 0 }", "max_batch_size must be at least 1"),
        (read_batching, "max_batch_size { value: -3 }", "max_batch_size must be at least 1"),
        (read_metrics_path, "prometheus { }", "prometheus"),
    ],
)
def test_what_makes_no_sense_is_said(written, read, text, message):
    with pytest.raises(ColorizerError, match=message):
        read(written(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ColorizerError, match="nowhere: cannot be read"):
        read_models(tmp_path / "nowhere")
