"""Deadlines for plugin code that may hang, and the line at which it hangs."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import TypeVar

Result = TypeVar("Result")


class Hang(Exception):
    """Plugin code that did not end in time; ``frame`` is its position at the deadline, if known."""

    def __init__(self, seconds: float, frame: FrameType | None = None) -> None:
        super().__init__(f"did not end within {seconds:g} seconds")
        self.frame = frame


def call_within(seconds: float, action: Callable[[], Result]) -> Result:
    """Return the result of ``action``, or raise its exception.

    The action runs in a thread, which the server can abandon when it hangs.

    Raises:
        Hang: The action has not ended after ``seconds``.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it again
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Hang(seconds, sys._current_frames().get(thread.ident or 0))  # noqa: SLF001 - Python's documented way to another thread's stack
    for error in errors:
        raise error
    return results[0]


async def wait_within(seconds: float, answer: Awaitable[Result], report: Callable[[Hang], None]) -> Result:
    """Return the result of ``answer``, or raise its exception.

    Code that blocks the event loop cannot be cancelled. A thread then calls ``report`` with its position.

    Raises:
        Hang: The code has not ended after ``seconds``.
    """
    blocked = threading.get_ident()
    timer = threading.Timer(seconds + 1, lambda: report(Hang(seconds, sys._current_frames().get(blocked))))  # noqa: SLF001 - likewise
    timer.daemon = True
    timer.start()
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            return await answer
    except TimeoutError as error:
        if not timeout.expired():
            raise
        raise Hang(seconds).with_traceback(error.__traceback__) from error
    finally:
        timer.cancel()


def locate(package: str, error: BaseException) -> str | None:
    """Return the line of ``package`` that caused ``error``, as ``file:line``; None for errors of other code."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    if isinstance(error, Hang) and error.frame is not None:
        return _innermost(package, _frames(error.frame))
    chain: BaseException | None = error
    while chain is not None:
        if found := _innermost(package, _traceback(chain.__traceback__)):
            return found
        chain = chain.__cause__
    return None


def _innermost(package: str, stack: list[tuple[FrameType, int]]) -> str | None:
    for frame, line in reversed(stack):
        module = str(frame.f_globals.get("__name__"))
        if module == package or module.startswith(f"{package}."):
            return f"{frame.f_code.co_filename}:{line}"
    return None


def _frames(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    stack = []
    while frame is not None:
        stack.append((frame, frame.f_lineno))
        frame = frame.f_back
    return stack[::-1]


def _traceback(traceback: TracebackType | None) -> list[tuple[FrameType, int]]:
    stack = []
    while traceback is not None:
        stack.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return stack
