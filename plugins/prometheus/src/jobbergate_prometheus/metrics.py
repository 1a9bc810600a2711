"""What is counted and measured."""

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
"""The directory in which several workers share their counts, as prometheus_client has found it on its import, too."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
GAUGES = {
    "database_connections": "Connections to the database.",
    "database_connections_idle": "Connections to the database that nobody uses at the moment.",
    "tokens_cached": "Tokens that were verified and are remembered.",
}
COUNTERS = {
    "token_cache_hits": "Tokens that were remembered when they came again.",
    "token_cache_misses": "Tokens that had to be verified.",
}


class Metrics:
    """The metrics of one application; ``registry`` has those of all workers where they share a directory."""

    def __init__(self, statistics: Statistics) -> None:
        """Begin to count; ``statistics`` is what the server counts of itself.

        Raises:
            ValueError: The directory that several workers share does not exist.
        """
        self.registry = CollectorRegistry()
        PlatformCollector(registry=self.registry)
        own: CollectorRegistry | None = None
        if DIRECTORY is None:
            own = self.registry
            ProcessCollector(registry=own)
            GCCollector(registry=own)
        else:  # it collects the values of all workers; those of this one must not be there a second time
            MultiProcessCollector(self.registry, DIRECTORY)  # type: ignore[no-untyped-call]  # it is not annotated
        self._requests = Counter(
            "jobbergate_http_requests",
            "Requests that were answered.",
            ["method", "route", "plugin", "status"],
            registry=own,
        )
        self._durations = Histogram(
            "jobbergate_http_request_duration_seconds",
            "Time from a request's head to its answer.",
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
        """Count a request; what a client may choose at will has one label for all."""
        method = request.method if request.method in hdrs.METH_ALL else "other"
        route, plugin = request.route or "unmatched", request.plugin or ""
        self._requests.labels(method, route, plugin, str(request.status)).inc()
        self._durations.labels(route, plugin).observe(request.seconds)

    def refresh(self) -> None:
        """Take over what the server has counted of itself."""
        statistics = self._statistics()
        for name, gauge in self._gauges.items():
            gauge.set(statistics[name])
        for name, counter in self._counters.items():
            counter.inc(statistics[name] - self._counted[name])
            self._counted[name] = statistics[name]


METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
