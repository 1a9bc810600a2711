"""The port that serves the metrics."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import EADDRINUSE

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from jobbergate_prometheus.metrics import DIRECTORY, VARIABLE, Metrics

SHUTDOWN_TIMEOUT = 1.0
"""Seconds within which a running response must end when the server shuts down."""


class NotListening(Exception):
    """An address that the server cannot listen on."""


@asynccontextmanager
async def exposed(metrics: Metrics, host: str, port: int) -> AsyncIterator[None]:
    """Serve `/metrics` at this address.

    Raises:
        NotListening: The server cannot listen on the address; the message names the settings of it.
    """
    respond = make_aiohttp_handler(metrics.registry)

    async def current(request: web.Request) -> web.StreamResponse:
        metrics.refresh()
        return await respond(request)

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
            text += f"; to share it between workers, set the environment variable {VARIABLE} to a directory"
        raise NotListening(text) from None
