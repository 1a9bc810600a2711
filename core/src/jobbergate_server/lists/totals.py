"""Totals of lists: one count serves all requests that arrive at nearly the same time."""

import asyncio
import time
from typing import NamedTuple

from aiohttp import web
from cachetools import LRUCache

from jobbergate_server.database.connection import Database
from jobbergate_server.database.prepared import Statement
from jobbergate_server.database.transaction import in_transaction

CACHED_TOTALS = 1_000
"""Number of totals that are cached, each for one list with one set of filters."""


class _Total(NamedTuple):
    task: "asyncio.Task[int]"
    begun: float
    writes: int


class Totals:
    """The totals of the lists of ``database``, at most ``max_age`` seconds old.

    A write of this process invalidates all of them, so that its client sees the change in the next response.
    """

    def __init__(self, database: Database, max_age: float) -> None:
        self._database = database
        self._max_age = max_age
        self._totals: LRUCache[Statement, _Total] = LRUCache(CACHED_TOTALS)

    @property
    def are_shared(self) -> bool:
        """Whether requests may share a total."""
        return self._max_age > 0 and not in_transaction()

    async def total(self, statement: Statement) -> int:
        """Return the number that ``statement`` counts; concurrent requests for it share one count."""
        if not self.are_shared:
            return await self._count(statement)
        known = self._totals.get(statement)
        if known is None or not self._is_fresh(known):
            known = _Total(asyncio.create_task(self._count(statement)), time.monotonic(), self._database.writes)
            self._totals[statement] = known
        # A client that disconnects must not cancel the count for the requests that share it.
        return known.task.result() if known.task.done() else await asyncio.shield(known.task)

    def _is_fresh(self, known: _Total) -> bool:
        if known.writes != self._database.writes or time.monotonic() - known.begun >= self._max_age:
            return False
        return not known.task.done() or not (known.task.cancelled() or known.task.exception())

    async def _count(self, statement: Statement) -> int:
        rows = await self._database.fetch(statement.sql, statement.values, planned=statement.planned)
        return int(rows[0][0])


TOTALS: web.AppKey[Totals] = web.AppKey("totals", Totals)
