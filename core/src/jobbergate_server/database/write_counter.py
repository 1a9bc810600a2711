"""A counter of writes, which invalidates cached totals."""

from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient

UNLISTED = ("SELECT", "UPDATE event_cursors")
"""The beginnings of statements that change no list."""


class WriteCounter(BaseDBAsyncClient):
    """A client of a database with a number that changes when a write of this process becomes visible.

    The client counts statements outside of transactions. The context of a transaction counts its end.
    """

    writes = 0

    async def execute_insert(self, query: str, values: list[Any]) -> Any:  # noqa: ANN401 - as in each driver
        """Insert a row."""
        try:
            return await super().execute_insert(query, values)
        finally:
            self.writes += 1

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Execute a statement once for each of ``values``."""
        try:
            await super().execute_many(query, values)
        finally:
            self.writes += 1

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Any]:
        """Execute any statement."""
        try:
            return await super().execute_query(query, values)
        finally:
            if not query.startswith(UNLISTED):
                self.writes += 1

    async def execute_script(self, query: str) -> None:
        """Execute several statements."""
        try:
            await super().execute_script(query)
        finally:
            self.writes += 1
