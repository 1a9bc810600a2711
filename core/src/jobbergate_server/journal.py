"""Tables in which every event leaves a row."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient

from jobbergate_server.events import Event
from jobbergate_server.statements import Statement


class Journal(NamedTuple):
    """A table in which every event leaves a row, in the transaction that has caused it.

    ``values`` says what the row of an event holds: all columns of ``model`` but its key and ``id_column``, by their
    names. The latter, of text, takes the `id` in the event's data. That may be null when ``values`` is called, because
    a new row gets its id together with the row in the journal.
    """

    model: type[Model]
    id_column: str
    values: Callable[[Event], Mapping[str, Any]]

    def entry(self, client: BaseDBAsyncClient, event: Event) -> "Entry":
        """The row of ``event``, as the statement that inserts it."""
        executor, columns = client.executor_class(model=self.model, db=client), self.model._meta.fields_map  # noqa: SLF001 - Tortoise's documented way to the columns
        row_id = event.data.get("id")
        told = {**self.values(event), self.id_column: None if row_id is None else str(row_id)}
        # No column looks at the row that it is of, and to make one takes longer than all the rest.
        values = tuple(columns[name].to_db_value(told[name], self.model) for name in executor.regular_columns)
        return Entry(Statement(executor.insert_query, values), executor.regular_columns.index(self.id_column))

    async def write(self, client: BaseDBAsyncClient, events: Iterable[Event]) -> None:
        """Insert the rows of ``events``."""
        entries = [self.entry(client, event).statement for event in events]
        if entries:
            await client.execute_many(entries[0].sql, [list(it.values) for it in entries])


class Entry(NamedTuple):
    """A row of a journal as the statement that inserts it, and which of its values is the id of what it tells of."""

    statement: Statement
    id_index: int
