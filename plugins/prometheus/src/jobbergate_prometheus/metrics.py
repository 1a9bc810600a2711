"""The metrics."""

import os

from aiohttp import hdrs, web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.multiprocess import MultiProcessCollector

from jobbergate_server import HandledRequest, Statistics

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
DIRECTORY = os.environ.get(VARIABLE)
"""The directory in which workers share their counts. prometheus_client reads the same variable at import time."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds: the upper bounds of the histogram."""
GAUGES = {
    "database_connections": "Connections to the database.",
    "database_connections_idle": "Idle connections to the database.",
    "tokens_cached": "Verified tokens in the cache.",
}
COUNTERS = {
    "token_cache_hits": "Lookups that found a token in the cache.",
    "token_cache_misses": "Lookups that required the verification of a token.",
}


class Metrics:
    """The metrics of one application. ``registry`` contains those of all workers if they share a directory."""

    def __init__(self, statistics: Statistics) -> None:
        """Create the metrics. ``statistics`` returns the server's own figures.

        Raises:
            ValueError: The shared directory of the workers does not exist.
        """
        self.registry = CollectorRegistry()
        PlatformCollector(registry=self.registry)
        own: CollectorRegistry | None = None
        if DIRECTORY is None:
            own = self.registry
            ProcessCollector(registry=own)
            GCCollector(registry=own)
        else:  # this collector includes the values of this worker, so its metrics must not be registered again
            MultiProcessCollector(self.registry, DIRECTORY)  # type: ignore[no-untyped-call]  # it is not annotated
        self._requests = Counter(
            "jobbergate_http_requests",
            "Handled requests.",
            ["method", "route", "plugin", "status"],
            registry=own,
        )
        self._durations = Histogram(
            "jobbergate_http_request_duration_seconds",
            "Time from the head of a request to its response.",
            ["route", "plugin"],
            buckets=BUCKETS,
            registry=own,
        )
        self._gauges = {
            name: Gauge(f"jobbergate_{name}", text, multiprocess_mode="livesum", registry=own)
            for name, text in GAUGES.items()
        }
        self._counters = {name: Counter(f"jobbergate_{name}", text, registry=own) for name, text in COUNTERS.items()}
        self._statistics = statistics
        self._counted = dict.fromkeys(COUNTERS, 0.0)

    def count(self, request: HandledRequest) -> None:
        """Count a request. All methods and paths that the server does not define share one label."""
        method = request.method if request.method in hdrs.METH_ALL else "other"
        route, plugin = request.route or "unmatched", request.plugin or ""
        self._requests.labels(method, route, plugin, str(request.status)).inc()
        self._durations.labels(route, plugin).observe(request.seconds)

    def refresh(self) -> None:
        """Copy the server's own figures into the metrics."""
        statistics = self._statistics()
        for name, gauge in self._gauges.items():
            gauge.set(statistics[name])
        for name, counter in self._counters.items():
            counter.inc(statistics[name] - self._counted[name])
            self._counted[name] = statistics[name]


METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
