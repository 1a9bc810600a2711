"""The port on which Prometheus asks for the metrics."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import EADDRINUSE

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from jobbergate_prometheus.metrics import DIRECTORY, VARIABLE, Metrics

SHUTDOWN_TIMEOUT = 1.0
"""Seconds that an answer under way has to end when the server stops."""


class NotListening(Exception):
    """The address cannot be listened on."""


@asynccontextmanager
async def exposed(metrics: Metrics, host: str, port: int) -> AsyncIterator[None]:
    """Serve `/metrics` at this address.

    Raises:
        NotListening: The address cannot be listened on; the text names the settings that can change it.
    """
    answer = make_aiohttp_handler(metrics.registry)

    async def current(request: web.Request) -> web.StreamResponse:
        metrics.refresh()
        return await answer(request)

    app = web.Application()
    app.router.add_get("/metrics", current)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.SockSite(runner, _listening(host, port)).start()
        yield
    finally:
        await runner.cleanup()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, reuse_port=DIRECTORY is not None)
    except OSError as error:
        reason, _, _ = str(error.strerror).partition(" (while")
        text = f"plugins.prometheus.host, plugins.prometheus.port: {host}:{port}: {reason}"
        if error.errno == EADDRINUSE and DIRECTORY is None:
            text += f"; several workers can share it when the environment variable {VARIABLE} names a directory"
        raise NotListening(text) from None
