"""Detection of handlers that block the event loop."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar, cast

BLOCKING_SECONDS = 0.5
"""The time between two awaits from which on a coroutine is reported."""

Result = TypeVar("Result")


def watched(work: Coroutine[Any, Any, Result], report: Callable[[float], None]) -> Awaitable[Result]:
    """Return ``work`` with a call of ``report`` for each `BLOCKING_SECONDS` or more without an await."""
    return cast("Awaitable[Result]", _steps(work, report))


@coroutine
def _steps(work: Coroutine[Any, Any, Result], report: Callable[[float], None]) -> Generator[Any, Any, Result]:
    error: BaseException | None = None
    try:
        while True:
            begin = time.perf_counter()
            try:
                waited = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                return cast("Result", end.value)
            finally:
                if (seconds := time.perf_counter() - begin) >= BLOCKING_SECONDS:
                    report(seconds)
            error = None
            try:
                yield waited
            except GeneratorExit:
                raise
            except BaseException as raised:  # noqa: BLE001 - such as a cancellation, which the coroutine handles
                error = raised
    finally:
        work.close()
