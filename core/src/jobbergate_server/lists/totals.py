"""How many rows a list has: counted once for all who ask at nearly the same time."""

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from aiohttp import web

from jobbergate_server.database.connection import Database
from jobbergate_server.database.prepared import Statement
from jobbergate_server.database.transaction import in_transaction

REMEMBERED = 1_000
"""How many totals are kept, each of one list with one set of filters."""


class _Total(NamedTuple):
    task: "asyncio.Task[int]"
    begun: float
    writes: int


class Totals:
    """The totals of the lists of ``database``, none of them older than ``max_age`` seconds.

    After a write of this process everything is counted anew, so that who has written sees it in the next answer.
    """

    def __init__(self, database: Database, max_age: float) -> None:
        self._database = database
        self._max_age = max_age
        self._totals: OrderedDict[Statement, _Total] = OrderedDict()

    @property
    def are_shared(self) -> bool:
        """Whether what one request has counted may be told to another."""
        return self._max_age > 0 and not in_transaction()

    async def total(self, statement: Statement) -> int:
        """The number that ``statement`` counts; requests that ask for it at the same time share one count."""
        if not self.are_shared:
            return await self._count(statement)
        known = self._totals.get(statement)
        if known is None or not self._is_fresh(known):
            known = _Total(asyncio.create_task(self._count(statement)), time.monotonic(), self._database.writes)
            self._totals[statement] = known
            self._totals.move_to_end(statement)
            if len(self._totals) > REMEMBERED:
                self._totals.popitem(last=False)
        # A client that hangs up must not take the count away from the others who wait for it.
        return known.task.result() if known.task.done() else await asyncio.shield(known.task)

    def _is_fresh(self, known: _Total) -> bool:
        if known.writes != self._database.writes or time.monotonic() - known.begun >= self._max_age:
            return False
        return not known.task.done() or not (known.task.cancelled() or known.task.exception())

    async def _count(self, statement: Statement) -> int:
        rows = await self._database.fetch(statement.sql, statement.values, planned=statement.planned)
        return int(rows[0][0])


TOTALS: web.AppKey[Totals] = web.AppKey("totals", Totals)
