"""The current transaction: its time, and the events that it commits."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from jobbergate_server.events import Event

Emitted = Event | Callable[[], Event]


@dataclass(slots=True)
class Transaction:
    """The state of a transaction until its end."""

    moment: datetime
    emitted: list[Emitted] = field(default_factory=list)
    is_logged: bool = False
    """Whether the events are in the table already."""

    def events(self) -> Iterator[Event]:
        """Yield the events, including events that are emitted meanwhile."""
        return (event() if callable(event) else event for event in self.emitted)


current: ContextVar[Transaction] = ContextVar("transaction")


def transaction_time() -> datetime:
    """Return the time of the current transaction: one moment for all rows that a request writes."""
    transaction = current.get(None)
    return transaction.moment if transaction else datetime.now(UTC)


def emit(event: Emitted) -> None:
    """Commit ``event`` with the current transaction: it is logged, and plugins react to it after the commit.

    For a row that is inserted after the handler returns, pass a function that returns the event. It is called once the
    row has an id, and possibly once before that. It must not write.

    Raises:
        LookupError: The current task has no transaction.
    """
    current.get().emitted.append(event)


def in_transaction() -> bool:
    """Return whether the current task is in a transaction."""
    return current.get(None) is not None
