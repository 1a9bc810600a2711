"""A pool of child processes that parse and render uploaded files, under limits of time and memory."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from jobbergate_applications import worker
from jobbergate_server import Unprocessable

WALL_SECONDS = 5.0
"""Seconds within which a process must finish a job."""
JOBS = 200
"""Jobs after which a new process replaces one, so that its memory does not accumulate."""
POOL_SIZE = 2
"""Processes of one worker of the server."""
WARM_UP_SECONDS = 0.5
"""Seconds after the server's start until the first processes start. The server's own start needs the CPU first."""

log = structlog.get_logger()


class Sandbox:
    """The pool: at most ``size`` jobs run at a time, each in a process of its own.

    A process takes longer to start than most jobs take. It therefore serves until its replacement has started. The pool
    replaces a dead process before the next job.
    """

    def __init__(self, size: int = POOL_SIZE) -> None:
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._processes: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._starts: set[asyncio.Task[None]] = set()

    def warm_up(self) -> None:
        """Start all processes before the first job."""
        for _ in range(self._size - len(self._processes) - len(self._starts)):
            self._start()

    async def close(self) -> None:
        """Kill the processes."""
        await asyncio.gather(*self._starts, return_exceptions=True)
        await asyncio.gather(*(process.kill() for process in self._processes))
        self._processes.clear()
        self._idle.clear()

    async def run(self, operation: str, **arguments: object) -> Any:  # noqa: ANN401 - each operation has its own result
        """Run one of the operations of `worker`, and return its result.

        Raises:
            Unprocessable: The worker rejected the user's files, or the job exceeded a limit.
        """
        request = _request(operation, arguments)
        async with self._places:
            process = await self._take()
            try:
                answer = await process.ask(request)
            finally:
                await self._give_back(process)
        if "refused" in answer:
            raise Unprocessable(answer["refused"])
        return answer["result"]

    async def _take(self) -> "_Worker":
        """Return an idle process. Start one if necessary.

        Raises:
            Exception: No process is idle, and none starts.
        """
        while True:
            while self._idle:
                process = self._idle.pop()
                if process.is_running:
                    return process
                self._processes.discard(process)
            if not self._starts:
                self._start()
            started, _ = await asyncio.wait(self._starts, return_when=asyncio.FIRST_COMPLETED)
            for start in started:
                start.result()

    async def _give_back(self, process: "_Worker") -> None:
        """Keep the process for the next job, unless it has ended or a new process replaces it."""
        if not process.is_running:
            self._processes.discard(process)
            self._start()
            return
        self._idle.append(process)
        oldest = max(self._idle, key=lambda it: it.jobs)
        if oldest.jobs < JOBS:
            return
        if len(self._processes) > self._size:
            self._idle.remove(oldest)
            self._processes.discard(oldest)
            await oldest.kill()
        elif not self._starts:
            self._start()

    def _start(self) -> None:
        start = asyncio.create_task(self._add())
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        start.add_done_callback(_log_failure)

    async def _add(self) -> None:
        """Add a process to the pool once it has imported its modules."""
        process = await _Worker.start()
        try:
            await process.ask(_request("check", {"files": []}))
        except Unprocessable:
            if not process.was_signalled:
                raise
            await self._add()
        else:
            self._processes.add(process)
            await self._give_back(process)


def _request(operation: str, arguments: dict[str, object]) -> bytes:
    return json.dumps({"operation": operation, "arguments": arguments}, ensure_ascii=False).encode()


def _log_failure(start: asyncio.Task[None]) -> None:
    if not start.cancelled() and (error := start.exception()):
        log.error("sandbox process not started", exc_info=error)


class _Worker:
    """One child process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.jobs = 0

    @classmethod
    async def start(cls) -> "_Worker":
        # -I and an empty environment: the child must not see the server's modules and secrets.
        command = (sys.executable, "-I", "-X", "utf8", str(Path(worker.__file__)))
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}))

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process.returncode is None

    @property
    def was_signalled(self) -> bool:
        """Whether a signal to the whole service ended it, before it ignored that signal."""
        return self._process.returncode in {-signal.SIGTERM, -signal.SIGINT}

    async def ask(self, request: bytes) -> dict[str, Any]:
        """Return the response to ``request``. Kill the process if it does not respond.

        Raises:
            Unprocessable: The job exceeded a limit.
        """
        self.jobs += 1
        try:
            async with asyncio.timeout(WALL_SECONDS):
                return await self._exchange(request)
        except TimeoutError:
            await self.kill()
            raise Unprocessable(f"Limit exceeded: the job takes longer than {WALL_SECONDS:g} s.") from None
        except EOFError:
            raise Unprocessable(await self._reason()) from None
        except BaseException:
            await self.kill()
            raise

    async def _exchange(self, request: bytes) -> dict[str, Any]:
        assert self._process.stdin  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout  # noqa: S101 - likewise
        with suppress(ConnectionError):
            self._process.stdin.write(len(request).to_bytes(4) + request)
            await self._process.stdin.drain()
        length = int.from_bytes(await self._process.stdout.readexactly(4))
        answer: dict[str, Any] = json.loads(await self._process.stdout.readexactly(length))
        return answer

    async def _reason(self) -> str:
        """Return the reason why the process ended."""
        status = await self._process.wait()
        if status == -signal.SIGPROF:
            return f"Limit exceeded: the job needs more than {worker.CPU_SECONDS:g} s of CPU time."
        # Deep nesting overflows the stack. Every other end, such as SIGKILL, is due to lack of memory.
        return worker.TOO_DEEP if status == -signal.SIGSEGV else worker.NO_MEMORY

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


SANDBOX: web.AppKey[Sandbox] = web.AppKey("sandbox", Sandbox)
