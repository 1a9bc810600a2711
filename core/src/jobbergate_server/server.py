"""Serving: one process, or several supervised ones, on one listening socket."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop
from aiohttp import web

from jobbergate_server import settings
from jobbergate_server.plugins import StartError

BACKLOG = 1024
SHUTDOWN_TIMEOUT = 25.0
"""Seconds that requests in flight have to end when the server is asked to stop."""
START_FAILED = 3
"""Exit status of a worker that could not start; another try would fail as well."""

log = structlog.get_logger()

Build = Callable[[], web.Application]
Announce = Callable[[], Awaitable[None]]


def listen(config: settings.Server) -> socket.socket:
    """The socket to serve on.

    Raises:
        StartError: The address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"server.host, server.port: {config.host}:{config.port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def serve(build: Build, sock: socket.socket, workers: int = 1, announce: Announce | None = None) -> None:
    """Serve the application that ``build`` makes until SIGTERM or SIGINT; ``announce`` is awaited when it answers.

    Raises:
        StartError: The application could not start.
    """
    if workers == 1:
        uvloop.run(_serve(build(), sock, announce))
    else:
        _supervise(workers, lambda: serve(build, sock))


async def _serve(app: web.Application, sock: socket.socket, announce: Announce | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Nothing is gained by reading on after an answer that came early, and it holds the connection's memory.
    runner = web.AppRunner(app, access_log=None, lingering_time=0, shutdown_timeout=SHUTDOWN_TIMEOUT)
    try:
        await runner.setup()
        await web.SockSite(runner, sock).start()
        if announce:
            await announce()
        await stop.wait()
    finally:
        await runner.cleanup()


def _supervise(count: int, work: Callable[[], None]) -> None:
    """Keep ``count`` processes doing ``work`` until SIGTERM or SIGINT."""
    workers: set[int] = set()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in workers:
            os.kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    failed = False
    while workers or not stopping:
        while len(workers) < count and not stopping:
            workers.add(_fork(work))
        pid, status = os.wait()
        workers.discard(pid)
        if os.waitstatus_to_exitcode(status) == START_FAILED:
            failed = True
            stop()
        elif not stopping:
            log.error("worker died and is replaced", pid=pid, status=os.waitstatus_to_exitcode(status))
    if failed:
        raise StartError("No worker could start.")


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 0
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        work()
    except StartError as error:
        sys.stderr.write(f"Error: {error}\n")
        status = START_FAILED
    except BaseException:
        log.exception("worker failed")
        status = 1
    finally:
        sys.stderr.flush()
        os._exit(status)
