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
"""Seconds after which a connection ends whose client does not read what it is sent, or has gone without a word."""
DRAIN_SECONDS = 2.0
"""Seconds that it goes on serving after SIGTERM, and is not ready, so that who shares out requests looks elsewhere."""
END_TIMEOUT = 13.0
"""Seconds that requests in flight have to end after that."""
SHUTDOWN_TIMEOUT = 2.0
"""Seconds that their answers then have to be sent, and as many again those that have not ended to be given up."""
STOP_SECONDS = 29.0
"""Seconds after which the process ends all the same, whatever a plugin, a thread or the database holds it up for."""
STOP_FAILED = 1
"""Exit status of a process that could not end by itself."""
START_FAILED = 3
"""Exit status of a worker that could not start. For one of the first, another try would fail as well."""
RETRY_SECONDS = 1.0
"""How long a later one waits until it tries again: what it needs may be away, and the others go on without it."""
GARBAGE = 10_000
"""New objects between two searches for garbage; a request makes hundreds, nearly all of which go by themselves."""
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

log = structlog.get_logger()

Build = Callable[[], web.Application]
Announce = Callable[[web.Application], Awaitable[None]]


def listen(config: settings.Server) -> socket.socket:
    """The socket to serve on.

    Raises:
        StartError: The address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason, _, _ = str(error.strerror).partition(" (while")
        raise StartError(f"server.host, server.port: {config.host}:{config.port}: {reason}") from None
    sock.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # which Linux has (tcp(7)), and connections inherit
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    host, port = sock.getsockname()[:2]
    log.info("listening", host=host, port=port)
    return sock


def serve(build: Build, sock: socket.socket, workers: int = 1, announce: Announce | None = None) -> None:
    """Serve the application that ``build`` makes until SIGTERM or SIGINT; ``announce`` is awaited when it answers.

    After SIGTERM it goes on for `DRAIN_SECONDS`, while `/jobbergate/ready` answers 503; after SIGINT, a person's, it
    does not. Requests in flight end, and the process within `STOP_SECONDS`.

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
        # What is there now stays: to look through all of it again and again would hold up every request meanwhile.
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
    """Wait for the SIGINT of a person who is in a hurry; another SIGTERM may be the one that all processes get."""
    while await asked.get() != signal.SIGINT:
        pass


def _end_after(seconds: float) -> None:
    """End the process in so many ``seconds`` if it has not ended by itself."""

    def end() -> None:
        log.error("not stopped in time")
        os._exit(STOP_FAILED)

    # A thread, because the event loop itself may be held up by then, or at its end already.
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _supervise(count: int, work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Keep ``count`` processes doing ``work`` until SIGTERM or SIGINT, and then call ``stop`` before they end."""
    # Signals wait until they are asked for: a handler could run between a fork and the note of its process id.
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
                log.error("worker died and is replaced", pid=pid, status=status)
                workers.add(_fork(work, RETRY_SECONDS if status == START_FAILED else 0))
        if asked != signal.SIGCHLD or stopping is not was_stopping:
            stop()
            for pid in workers:
                os.kill(pid, signal.SIGTERM if asked == signal.SIGCHLD else asked)
    if failed:
        raise StartError("No worker could start.")


def _ended(workers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The workers that have ended, with their exit status."""
    for worker in tuple(workers):
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            yield pid, os.waitstatus_to_exitcode(status)


def _fork(work: Callable[[], None], pause: float = 0) -> int:
    """The id of a new process that does ``work`` after a ``pause`` of so many seconds."""
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
