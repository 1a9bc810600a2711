"""Serving: one process, or several supervised ones, on one listening socket."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress

import structlog
import uvloop
from aiohttp import web

from jobbergate_server import settings
from jobbergate_server.errors import StartError
from jobbergate_server.http.keys import STOPPING
from jobbergate_server.serving.connections import Runner
from jobbergate_server.serving.inflight import IN_FLIGHT

BACKLOG = 1024
UNREAD_SECONDS = 75
"""Seconds until a connection ends after its client stopped reading or disappeared."""
DRAIN_SECONDS = 2.0
"""Seconds of serving after SIGTERM, while readiness fails and load balancers stop sending requests."""
END_TIMEOUT = 13.0
"""Seconds that requests in flight then have to finish."""
SHUTDOWN_TIMEOUT = 2.0
"""Seconds that their responses then have to be sent, and again until unfinished handlers are cancelled."""
STOP_SECONDS = 29.0
"""Seconds after which the process exits in any case, even if a plugin, a thread or the database blocks."""
STOP_FAILED = 1
"""Exit status of a process that did not shut down in time."""
START_FAILED = 3
"""Exit status of a worker that could not start. A retry of one of the first workers would also fail."""
RESTART_SECONDS = 1.0
"""Seconds until a later worker is retried: a dependency may be unavailable, while the other workers serve."""
GARBAGE = 10_000
"""New objects between two garbage collections. A request creates hundreds; reference counts free nearly all."""
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

log = structlog.get_logger()

Build = Callable[[], web.Application]
Announce = Callable[[web.Application], Awaitable[None]]


def listen(config: settings.Server) -> socket.socket:
    """Return the socket to serve on.

    Raises:
        StartError: The server cannot listen on the address.
    """
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason, _, _ = str(error.strerror).partition(" (while")
        raise StartError(f"server.host, server.port: cannot listen on {config.host}:{config.port}: {reason}") from None
    sock.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only (tcp(7)); connections inherit it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    host, port = sock.getsockname()[:2]
    log.info("listening", host=host, port=port)
    return sock


def serve(build: Build, sock: socket.socket, workers: int = 1, announce: Announce | None = None) -> None:
    """Serve the application that ``build`` returns until SIGTERM or SIGINT; await ``announce`` once it serves.

    After SIGTERM, the server continues for `DRAIN_SECONDS`, while `/jobbergate/ready` responds 503. After SIGINT, which
    a person sends, it does not. Requests in flight finish, and the process exits within `STOP_SECONDS`.

    Raises:
        StartError: The application could not start.
    """
    if workers == 1:
        uvloop.run(_serve(build(), sock, announce))
    else:
        _supervise(workers, lambda: serve(build, sock), sock.close)


async def _serve(app: web.Application, sock: socket.socket, announce: Announce | None) -> None:
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[int] = asyncio.Queue()

    def stop(number: int) -> None:
        _end_after(STOP_SECONDS)
        asked.put_nowait(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    runner = Runner(app, shutdown_timeout=SHUTDOWN_TIMEOUT)
    try:
        await runner.setup()
        # These objects are permanent. A scan of them in each garbage collection would delay all requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE)
        await web.SockSite(runner, sock, backlog=BACKLOG).start()
        if announce:
            await announce(app)
        if await asked.get() == signal.SIGTERM:
            app[STOPPING].set()
            with suppress(TimeoutError):
                await asyncio.wait_for(_interrupted(asked), DRAIN_SECONDS)
        for site in list(runner.sites):
            await site.stop()
        await app[IN_FLIGHT].end(END_TIMEOUT)
    finally:
        await runner.cleanup()


async def _interrupted(asked: asyncio.Queue[int]) -> None:
    """Wait for a SIGINT, which ends the drain; ignore a SIGTERM that goes to all processes again."""
    while await asked.get() != signal.SIGINT:
        pass


def _end_after(seconds: float) -> None:
    """Exit the process after ``seconds``, unless it has shut down before."""

    def end() -> None:
        log.error("shutdown timed out")
        os._exit(STOP_FAILED)

    # A thread, because the event loop may be blocked or closed by then.
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _supervise(count: int, work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Keep ``count`` processes running ``work`` until SIGTERM or SIGINT; then call ``stop`` before they exit."""
    # Signals stay blocked until `sigwait`: a handler could run between a fork and the record of its process id.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    first = frozenset(_fork(work) for _ in range(count))
    workers = set(first)
    stopping = failed = False
    while workers:
        asked = signal.sigwait(SIGNALS)
        was_stopping = stopping
        stopping = stopping or asked != signal.SIGCHLD
        for pid, status in _ended(workers):
            workers.remove(pid)
            if status == START_FAILED and pid in first:
                stopping = failed = True
            elif not stopping:
                log.error("worker exited and is replaced", pid=pid, status=status)
                workers.add(_fork(work, RESTART_SECONDS if status == START_FAILED else 0))
        if asked != signal.SIGCHLD or stopping is not was_stopping:
            stop()
            for pid in workers:
                os.kill(pid, signal.SIGTERM if asked == signal.SIGCHLD else asked)
    if failed:
        raise StartError("No worker could start.")


def _ended(workers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the workers that have exited, with their exit status."""
    for worker in tuple(workers):
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            yield pid, os.waitstatus_to_exitcode(status)


def _fork(work: Callable[[], None], pause: float = 0) -> int:
    """Return the id of a new process that runs ``work`` after ``pause`` seconds."""
    pid = os.fork()
    if pid:
        return pid
    status = 0
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        time.sleep(pause)
        work()
    except StartError as error:
        sys.stderr.write(f"Error: {error}\n")
        status = START_FAILED
    except BaseException:
        log.exception("worker failed")
        status = START_FAILED
    finally:
        sys.stderr.flush()
        os._exit(status)
