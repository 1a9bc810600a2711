"""Several workers, which share their metrics in a directory: each responds with the metrics of all workers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from jobbergate_prometheus.metrics import DIRECTORY, Metrics

INTERVAL = 1.0
"""Seconds between two updates of the server's own figures in the shared directory."""


@asynccontextmanager
async def shared(metrics: Metrics) -> AsyncIterator[None]:
    """Share the metrics of this worker if a directory is configured."""
    if DIRECTORY is None:
        yield
        return
    _forget_killed(DIRECTORY)
    refreshing = asyncio.create_task(_refresh(metrics))
    try:
        yield
    finally:
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
        _forget(os.getpid(), DIRECTORY)


async def _refresh(metrics: Metrics) -> None:
    while True:
        metrics.refresh()
        await asyncio.sleep(INTERVAL)


def _forget_killed(directory: str) -> None:
    """Remove the gauges of killed workers, which did not remove them."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in Path(directory).glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except OSError:
            _forget(pid, directory)


def _forget(pid: int, directory: str) -> None:
    with suppress(FileNotFoundError):  # another worker has removed it
        mark_process_dead(pid, directory)  # type: ignore[no-untyped-call]  # it is not annotated
