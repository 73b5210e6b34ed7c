"""A small SavedModel with inputs and outputs of many kinds, and the server's parts around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from models_export.serving.app import Limits, build_app
from models_export.serving.batching import Batcher
from models_export.serving.predictor import Predictor
from models_export.serving.rest import RestApi
from models_export.serving.servable import load_warm
from models_export.serving.store import ModelConfig, ModelStore


class HalfPlusTwo(tf.Module):
    """TensorFlow Serving's own example, and signatures for what it leaves out."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(self, x):
        return {"y": 0.5 * x + 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def matrix(self, x):
        return {"y": 0.5 * x}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="a"),
            tf.TensorSpec([None], tf.int32, name="b"),
        ]
    )
    def two(self, a, b):
        return {"total": a + tf.cast(b, tf.float32), "twice": 2 * b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def strings(self, text):
        return {"same": text, "same_bytes": text}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], kind, name=kind.name)
            for kind in (tf.bool, tf.uint8, tf.int64, tf.float64)
        ]
    )
    def kinds(self, bool, uint8, int64, float64):
        return {"bool": bool, "uint8": uint8, "int64": int64, "float64": float64}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def uneven(self, x):
        return {"all": x, "first": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scalar(self, x):
        return {"sum": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, name="x")])
    def half(self, x):
        return {"y": x}


def save(folder: Path) -> None:
    """Writes the model."""
    module = HalfPlusTwo()
    names = ("matrix", "two", "strings", "kinds", "uneven", "scalar", "half")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.halve, **signatures}
    )


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of the model, with versions 123 and 124."""
    base = tmp_path_factory.mktemp("models") / "half_plus_two"
    for version in (123, 124):
        save(base / str(version))
    return base


@pytest.fixture(scope="session")
def store(base_path: Path) -> ModelStore:
    """A store that serves both versions, one of them with a label."""
    config = ModelConfig(base_path, labels={"stable": 123, "lost": 7}, latest=None)
    store = ModelStore({"half_plus_two": config, "a model": config}, load_warm)
    store.update()
    return store


@pytest.fixture(scope="session")
def predictor() -> Iterator[Predictor]:
    """What runs the models."""
    batcher = Batcher()
    yield Predictor(batcher, max_pixels=1_000_000, timeout_seconds=60)
    batcher.close()


@pytest.fixture(scope="session")
def api(store: ModelStore, predictor: Predictor) -> RestApi:
    """The REST interface over both."""
    return RestApi(store, predictor)


@pytest.fixture
def app(api: RestApi, store: ModelStore):
    """The application over it, with small limits."""
    return build_app(
        api,
        lambda: store.is_ready,
        Limits(body_bytes=10_000, body_seconds=1.0, requests=4),
        cors=True,
        metrics_path="/metrics",
    )
