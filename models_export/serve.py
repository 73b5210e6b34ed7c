"""python -m models_export.serve: exported models over TensorFlow Serving's REST interface."""

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from colorizer.command import import_tensorflow, note, parse, run
from pipelines.errors import ColorizerError, UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from models_export.serving.store import ModelConfig

DEFAULT_GRPC_PORT = 8500
DESCRIPTION = """Serves exported models over TensorFlow Serving's REST and gRPC interfaces.

The flags are TensorFlow Serving's own, where it has them. New versions below a model's base path
are picked up while it runs, old ones go once the new one answers. SIGTERM: no more requests are
taken, those at work are answered, then it exits with 0."""
EXAMPLES = """
# On this machine: the REST interface and the page on http://127.0.0.1:8501.
python -m models_export.serve --model_base_path exported/colorizer
# For others too, with requests that come close together run as one batch.
python -m models_export.serve --model_base_path exported/colorizer --host 0.0.0.0 --enable_batching
# Several models, versions and labels, on a port of their own.
python -m models_export.serve --model_config_file models.txt --rest_api_port 9000
"""


class ServeConfig(BaseModel):
    """The command's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_base_path: Path | None = None
    """Folder of the model's versions, sub-folders with integer names."""
    model_name: str | None = None
    """The model's name. Left out: that of its folder."""
    model_config_file: Path | None = None
    """Several models, versions and labels: a ModelServerConfig in text form, in place of
    --model_base_path."""
    rest_api_port: int = Field(8501, ge=0, le=65535)
    """Port of the REST interface; 0 takes a free one, and prints it."""
    port: int | None = Field(None, ge=0, le=65535)
    """Port of the gRPC interface; 0 turns it off. Left out: 8500 where the extra `grpc` is
    installed."""
    rest_api_timeout_in_ms: int = Field(30_000, ge=1)
    """How long a prediction may take before it is given up."""
    rest_api_num_threads: int = Field(128, ge=1)
    """Requests worked on at once; what comes then is refused with 503 at once."""
    rest_api_enable_cors_support: bool = False
    """Send CORS headers: pages of other servers may ask."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0: all of this machine's."""
    enable_batching: bool = False
    """Run requests that come close together as one batch."""
    batching_parameters_file: Path | None = None
    """BatchingParameters in text form: max_batch_size, batch_timeout_micros,
    max_enqueued_batches."""
    monitoring_config_file: Path | None = None
    """MonitoringConfig in text form: enables Prometheus's page."""
    file_system_poll_wait_seconds: float = Field(1.0, gt=0)
    """Seconds between looks for new versions."""
    max_body_megabytes: int = Field(64, ge=1)
    """Larger requests are refused, inflated or as they come."""
    max_image_pixels: int | None = Field(None, ge=1)
    """Photos whose header claims more are refused before they are decoded. Left out: what
    `colorize` takes."""


def main() -> None:
    """Runs the command and exits with its code."""
    run(_command)


def _command() -> int:
    config = parse(
        ServeConfig,
        prog="python -m models_export.serve",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    _check(config)
    import_tensorflow()
    with Server(config) as server:
        return _listen(server, config)


def _check(config: ServeConfig) -> None:
    """Refuses wrong usage before TensorFlow takes its seconds."""
    if (config.model_base_path is None) == (config.model_config_file is None):
        raise UsageError("either --model_base_path or --model_config_file is needed")
    if config.batching_parameters_file and not config.enable_batching:
        raise UsageError("--batching_parameters_file goes with --enable_batching")
    if config.model_config_file and config.model_name:
        raise UsageError("--model_name goes with --model_base_path")
    if config.port and not _has_grpc():
        raise UsageError("--port: gRPC needs the extra: pip install 'photo-colorizer[grpc]'")
    if config.model_base_path and not config.model_base_path.is_dir():
        raise ColorizerError(f"{config.model_base_path}: no such folder")


def _has_grpc() -> bool:
    return find_spec("tensorflow_serving") is not None


def _models(config: ServeConfig) -> "dict[str, ModelConfig]":
    from models_export.serving.store import ModelConfig
    from models_export.serving.text_protos import read_models

    if config.model_config_file:
        return read_models(config.model_config_file)
    folder = config.model_base_path
    assert folder is not None  # _check has seen to it.
    return {config.model_name or folder.resolve().name: ModelConfig(folder)}


def _listen(server: "Server", config: ServeConfig) -> int:
    """Answers requests until SIGTERM or SIGINT."""
    from models_export.serving.listener import Listener

    drain_seconds = config.rest_api_timeout_in_ms // 1000 + 5
    listener = Listener(server.app, config.host, config.rest_api_port, drain_seconds, server.end)
    try:
        listener.run()
    except SystemExit:
        raise ColorizerError(f"cannot listen on {config.host}:{config.rest_api_port}") from None
    return 0


class Server:
    """The parts of a server, put together: models that are watched, batches, the application.

    As a context manager it loads the models, watches them, and ends cleanly.

    Attributes:
        app: the ASGI application.
        store: the models.

    Raises:
        ColorizerError: a configuration file cannot be read.
    """

    def __init__(self, config: ServeConfig) -> None:
        from models_export.serving.app import Limits, build_app
        from models_export.serving.batching import Batcher, BatchingParameters
        from models_export.serving.metrics import Metrics
        from models_export.serving.predictor import Predictor
        from models_export.serving.rest import RestApi
        from models_export.serving.servable import load_warm
        from models_export.serving.store import ModelStore
        from models_export.serving.text_protos import read_batching, read_metrics_path
        from pipelines.photo_files import MAX_PIXELS

        parameters = None
        if config.enable_batching:
            file = config.batching_parameters_file
            parameters = read_batching(file) if file else BatchingParameters()
        monitoring = config.monitoring_config_file
        self.store: ModelStore = ModelStore(_models(config), load_warm)
        self._batcher: Batcher = Batcher(parameters)
        self._predictor = Predictor(
            self._batcher,
            max_pixels=config.max_image_pixels or MAX_PIXELS,
            timeout_seconds=config.rest_api_timeout_in_ms / 1000,
        )
        self._metrics = Metrics()
        self.app: Starlette = build_app(
            RestApi(self.store, self._predictor),
            lambda: self.store.is_ready and not self._ending.is_set(),
            Limits(
                body_bytes=config.max_body_megabytes << 20, requests=config.rest_api_num_threads
            ),
            cors=config.rest_api_enable_cors_support,
            metrics=self._metrics,
            metrics_path=read_metrics_path(monitoring) if monitoring else None,
        )
        self._config = config
        self._grpc: Any = None
        self._wait = config.file_system_poll_wait_seconds
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> "Server":
        """Begins to load, to watch, and to answer over gRPC."""
        if self._config.port != 0:
            self._start_grpc(self._config.port or DEFAULT_GRPC_PORT)
        self._watcher.start()
        return self

    def end(self) -> None:
        """Tells /readyz that no more requests should come."""
        self._ending.set()

    def __exit__(self, *_: object) -> None:
        """Waits for what is at work."""
        self.end()
        self._watcher.join()
        if self._grpc is not None:
            self._grpc.stop(self._config.rest_api_timeout_in_ms / 1000).wait()
        self._batcher.close()

    def _start_grpc(self, port: int) -> None:
        if not _has_grpc():
            note("gRPC is off: it needs the extra: pip install 'photo-colorizer[grpc]'")
            return
        from models_export.serving.grpc_service import start_grpc

        address = f"{self._config.host}:{port}"
        try:
            self._grpc = start_grpc(
                self.store,
                self._predictor,
                self._metrics,
                address=address,
                threads=self._config.rest_api_num_threads,
                max_bytes=self._config.max_body_megabytes << 20,
            )
        except RuntimeError:
            raise ColorizerError(f"cannot listen on {address}") from None
        print(f"gRPC interface on {address}", flush=True)

    def _watch(self) -> None:
        while not self._ending.is_set():
            self.store.update()
            self._ending.wait(self._wait)


if __name__ == "__main__":
    main()
