"""A pool of child processes that read what users upload, under limits of time and memory."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from jobbergate_applications import worker
from jobbergate_server import Unprocessable

WALL_SECONDS = 5.0
JOBS = 200
"""How many jobs a process does before another takes its place, so that nothing adds up in it."""
POOL_SIZE = 2


class Sandbox:
    """The pool: at most ``size`` jobs run at a time, each in a process that is started when it is first needed."""

    def __init__(self, size: int = POOL_SIZE) -> None:
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Worker] = []

    async def close(self) -> None:
        """End the processes."""
        await asyncio.gather(*(idle.kill() for idle in self._idle))
        self._idle.clear()

    async def run(self, operation: str, **arguments: object) -> Any:  # noqa: ANN401 - each operation has its own result
        """The result of one of the operations of `worker`.

        Raises:
            Unprocessable: The user's files are refused, or broke a limit; the text says why.
        """
        request = json.dumps({"operation": operation, "arguments": arguments}, ensure_ascii=False).encode()
        async with self._places:
            process = await self._worker()
            try:
                async with asyncio.timeout(WALL_SECONDS):
                    answer = await process.ask(request)
            except TimeoutError:
                await process.kill()
                raise Unprocessable(f"Limit exceeded: it takes longer than {WALL_SECONDS:g} s.") from None
            except EOFError:
                raise Unprocessable(await process.end()) from None
            except BaseException:
                await process.kill()
                raise
            if process.jobs < JOBS:
                self._idle.append(process)
            else:
                await process.kill()
        if "refused" in answer:
            raise Unprocessable(answer["refused"])
        return answer["result"]

    async def _worker(self) -> "_Worker":
        """One that has nothing to do; a new one in place of one that something else has ended."""
        while self._idle:
            if (process := self._idle.pop()).is_running:
                return process
        return await _Worker.start()


class _Worker:
    """One child process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.jobs = 0

    @classmethod
    async def start(cls) -> "_Worker":
        # -I and an empty environment: nothing of the server's is there to be found.
        command = (sys.executable, "-I", "-X", "utf8", str(Path(worker.__file__)))
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}))

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.returncode is None

    async def ask(self, request: bytes) -> dict[str, Any]:
        assert self._process.stdin  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout  # noqa: S101 - likewise
        self.jobs += 1
        with suppress(ConnectionError):
            self._process.stdin.write(len(request).to_bytes(4) + request)
            await self._process.stdin.drain()
        length = int.from_bytes(await self._process.stdout.readexactly(4))
        answer: dict[str, Any] = json.loads(await self._process.stdout.readexactly(length))
        return answer

    async def end(self) -> str:
        """Why the process ended by itself."""
        status = await self._process.wait()
        if status == -signal.SIGPROF:
            return f"Limit exceeded: it needs more than {worker.CPU_SECONDS:g} s of CPU time."
        # What nests too deeply overflows the stack. Everything else, such as SIGKILL, is for want of memory.
        return worker.TOO_DEEP if status == -signal.SIGSEGV else worker.NO_MEMORY

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


SANDBOX: web.AppKey[Sandbox] = web.AppKey("sandbox", Sandbox)
