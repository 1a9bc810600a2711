"""Handlers that keep the event loop from everything else."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar, cast

BLOCKING = 0.5
"""Seconds between two waits of a coroutine, from which on it is reported."""

Result = TypeVar("Result")


def watched(work: Coroutine[Any, Any, Result], tell: Callable[[float], None]) -> Awaitable[Result]:
    """``work``, with a call of ``tell`` each time that it has run for `BLOCKING` seconds or more without a wait."""
    return cast("Awaitable[Result]", _steps(work, tell))


@coroutine
def _steps(work: Coroutine[Any, Any, Result], tell: Callable[[float], None]) -> Generator[Any, Any, Result]:
    error: BaseException | None = None
    try:
        while True:
            begin = time.perf_counter()
            try:
                waited = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                return cast("Result", end.value)
            finally:
                if (seconds := time.perf_counter() - begin) >= BLOCKING:
                    tell(seconds)
            error = None
            try:
                yield waited
            except GeneratorExit:
                raise
            except BaseException as raised:  # noqa: BLE001 - such as a cancellation, which is for the coroutine to handle
                error = raised
    finally:
        work.close()
