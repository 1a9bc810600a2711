"""Dispatch of committed events to the plugins that react to them, by the leading process of an installation.

Each plugin has a cursor, which moves past an event once the plugin has reacted to it. If the leader is killed before
that, the next leader dispatches the event again. A plugin receives every event at least once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import structlog

from jobbergate_server.database import event_log
from jobbergate_server.database.connection import Database
from jobbergate_server.database.event_log import Entry, Fetch
from jobbergate_server.database.leader import leading
from jobbergate_server.errors import Unavailable
from jobbergate_server.events import Event
from jobbergate_server.plugins.contribution import Contribution
from jobbergate_server.plugins.registry import Plugins

BATCH = 100
"""Number of events that one query reads."""
CONCURRENT = 10
"""Number of reactions of one plugin that may wait at the same time."""
POLL_SECONDS = 0.5
"""Seconds between two queries for events that other processes committed."""
RETRY_SECONDS = 1.0
"""Seconds until a retry after a failure of the database, or of a dependency of a plugin."""
PURGE_SECONDS = 3600.0
"""Seconds between two deletions of old events."""

log = structlog.get_logger()


def before_commit(plugins: Plugins, contributions: Iterable[Contribution]) -> Callable[[Event], Awaitable[None]] | None:
    """Return a function that lets plugins veto an event, or None if no plugin implements `before_commit`."""
    asked = [it for it in contributions if plugins.implements(it.plugin, "before_commit")]

    async def ask(event: Event) -> None:
        for it in asked:
            if it.is_active:
                for agreement in plugins.run(it.plugin, "before_commit", event=event, context=it.context):
                    await agreement

    return ask if asked else None


class _Reader:
    """A plugin that reacts to events."""

    def __init__(self, contribution: Contribution) -> None:
        self.contribution = contribution
        self.slug = contribution.plugin.slug
        self.wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()


class Dispatcher:
    """Dispatches the events of ``database`` while this process leads, and deletes those older than ``keep``.

    A reaction has the database, and the id of the request that caused the event in its log lines.
    """

    def __init__(
        self,
        plugins: Plugins,
        contributions: Iterable[Contribution],
        database: Database,
        *,
        keep: timedelta,
        close_seconds: float,
    ) -> None:
        self._plugins = plugins
        self._database = database
        self._keep = keep
        self._close_seconds = close_seconds
        self._readers = [_Reader(it) for it in contributions if plugins.implements(it.plugin, "on_event")]
        self._is_closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Dispatch until the context exits; then wait at most ``close_seconds`` for reactions.

        A plugin that starts for the first time receives events from then on.
        """
        with self._database.bound():
            position = await event_log.end(self._database.fetch, is_sqlite=self._database.is_sqlite)
            await event_log.create_cursors([it.slug for it in self._readers], position)
            task = asyncio.create_task(self._run())
        self._database.committed = self._wake
        try:
            yield
        finally:
            self._is_closing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_seconds):
                    for reader in self._readers:
                        await reader.idle.wait()
            task.cancel()
            await asyncio.wait([task])

    def _wake(self) -> None:
        for reader in self._readers:
            reader.wake.set()

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                async with leading(self._database) as fetch, asyncio.TaskGroup() as group:
                    group.create_task(self._purge())
                    for reader in self._readers:
                        group.create_task(self._follow(reader, fetch))
            except Exception as error:  # noqa: BLE001 - the next attempt may succeed after any error of the database
                cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
                log.warning("event dispatch interrupted", reason=type(cause).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, reader: _Reader, fetch: Fetch) -> None:
        """Pass the plugin all events after its cursor, and then new events."""
        position = await event_log.cursor(reader.slug)
        while not self._is_closing:
            reader.wake.clear()
            batch = entries = await event_log.read(fetch, position, BATCH, is_sqlite=self._database.is_sqlite)
            while entries and not self._is_closing:
                reader.idle.clear()
                try:
                    handled = await self._react(reader, entries)
                    position, entries = entries[handled - 1].position, entries[handled:]
                    await event_log.save_cursor(fetch, reader.slug, position, is_sqlite=self._database.is_sqlite)
                finally:
                    reader.idle.set()
            if len(batch) == BATCH:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await reader.wake.wait()

    async def _react(self, reader: _Reader, entries: Sequence[Entry]) -> int:
        """Let the plugin react to the first ``entries``, and return the number of these."""
        waiting: list[Awaitable[None]] = []
        count = 0
        for count, entry in enumerate(entries, 1):  # noqa: B007 - it is returned
            if reactions := self._start(reader, entry.event):
                waiting.append(self._finish(reader, entry.event, reactions))
            if len(waiting) == CONCURRENT:
                break
        await asyncio.gather(*waiting)
        return count

    def _start(self, reader: _Reader, event: Event) -> list[Awaitable[None]]:
        """Call the plugin, and return its reactions that wait."""
        contribution = reader.contribution
        with structlog.contextvars.bound_contextvars(request_id=event.origin.request_id):
            try:
                return self._plugins.run(contribution.plugin, "on_event", event=event, context=contribution.context)
            except Unavailable as error:
                return [_fail(error)]
            except Exception:
                log.exception("event not handled", plugin=reader.slug, event_name=event.name, event_id=event.id)
                return []

    async def _finish(self, reader: _Reader, event: Event, reactions: Sequence[Awaitable[None]]) -> None:
        """Wait for reactions, and retry them while a dependency is unavailable."""
        with structlog.contextvars.bound_contextvars(request_id=event.origin.request_id):
            while reactions:
                try:
                    await asyncio.gather(*reactions)
                except (Exception, asyncio.CancelledError) as error:
                    # A reaction may turn its cancellation into another error, or wait for a task that is cancelled.
                    if cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                        log.warning("event interrupted", plugin=reader.slug, event_name=event.name, event_id=event.id)
                        raise asyncio.CancelledError from error
                    if not isinstance(error, Unavailable):
                        log.exception("event not handled", plugin=reader.slug, event_name=event.name, event_id=event.id)
                        return
                    log.warning("event will be retried", plugin=reader.slug, event_name=event.name, reason=error.detail)
                else:
                    return
                await asyncio.sleep(RETRY_SECONDS)
                reactions = self._start(reader, event)

    async def _purge(self) -> None:
        """Delete old events periodically."""
        while True:
            deleted = await event_log.purge_events(datetime.now(UTC) - self._keep)
            if deleted:
                log.info("old events deleted", events=deleted)
            await asyncio.sleep(PURGE_SECONDS)


async def _fail(error: Unavailable) -> None:
    raise error
