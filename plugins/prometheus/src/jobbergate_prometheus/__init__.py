"""Prometheus: metrics of requests, database connections and the token cache, on a separate port."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from jobbergate_prometheus.endpoint import exposed
from jobbergate_prometheus.metrics import METRICS, Metrics
from jobbergate_prometheus.settings import Prometheus
from jobbergate_prometheus.workers import shared
from jobbergate_server import HandledRequest, PluginContext, Section, Statistics, hookimpl


@hookimpl
def register_settings() -> type[Section]:
    """Return the settings of the metrics port."""
    return Prometheus


@hookimpl
@asynccontextmanager
async def lifespan(
    context: PluginContext[Prometheus], statistics: Statistics
) -> AsyncIterator[Mapping[web.AppKey[Any], object]]:
    """Collect and serve metrics if a port is configured."""
    settings = context.settings
    if settings.port is None:
        yield {}
        return
    metrics = Metrics(statistics)
    async with shared(metrics), exposed(metrics, settings.host, settings.port):
        yield {METRICS: metrics}


@hookimpl
def on_request(request: HandledRequest, context: PluginContext[Prometheus]) -> None:
    """Count the request if a port is configured."""
    if context.settings.port is not None:
        context[METRICS].count(request)
