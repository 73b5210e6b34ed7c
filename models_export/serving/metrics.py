"""Metrics for Prometheus under the names that TensorFlow Serving gives them."""

import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from models_export.serving.statuses import Code

PATH = "/monitoring/prometheus/metrics"
_COUNT = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
# Microseconds, as TensorFlow Serving's: powers of 1.8 from 10.
_BUCKETS = [10.0 * 1.8**power for power in range(33)]


class Metrics:
    """Counts requests by model and status, and how long they took."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = _Requests()
        self._registry.register(self._requests)
        self._latency = Histogram(
            _LATENCY,
            "Distribution of wall time (in microseconds) for Tensorflow Serving requests.",
            ["model_name", "API", "entrypoint"],
            registry=self._registry,
            buckets=_BUCKETS,
        )

    def take(
        self, model: str, action: str, code: Code, seconds: float, entrypoint: str = "REST"
    ) -> None:
        """Counts one request.

        Args:
            model: that it asked for; a model that is not served counts as "".
            action: "predict", "status" or "metadata".
            code: of the answer.
            seconds: it took.
            entrypoint: "REST" or "GRPC".
        """
        # A name that anybody may make up must not become a series of its own.
        known = "" if code is Code.NOT_FOUND else model
        self._requests.add(known, code)
        if code is Code.OK:
            self._latency.labels(known, action, entrypoint).observe(1e6 * seconds)

    def page(self) -> bytes:
        """Gives what Prometheus reads."""
        return generate_latest(self._registry)


class _Requests(Collector):
    """A counter whose name does not end in _total, as Prometheus's own library would have it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, model: str, code: Code) -> None:
        with self._lock:
            self._counts[model, code.name] += 1

    def collect(self) -> Iterator[Metric]:
        metric = Metric(_COUNT, "The total number of requests.", "untyped")
        with self._lock:
            for (model, status), count in sorted(self._counts.items()):
                labels = {"model_name": model, "status": status}
                metric.add_sample(_COUNT, labels, count)
        yield metric
