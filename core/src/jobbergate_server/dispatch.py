"""Telling the plugins what has happened, after it is committed and without holding up the answer."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, cast

import structlog

from jobbergate_server.contributions import Contribution, active
from jobbergate_server.database import Database
from jobbergate_server.events import Event
from jobbergate_server.journal import Journal
from jobbergate_server.plugins import Plugins
from jobbergate_server.statements import PreparedQuery

AT_ONCE = 10
"""How many events one plugin reacts to at the same time; one request may cause thousands."""
CLOSE_SECONDS = 4.0
"""How long the reactions that are under way may take to end when the server stops."""
CANCEL_SECONDS = 1.0
"""How long those that have taken longer may take to clean up."""

log = structlog.get_logger()


class Dispatcher:
    """Hands events to the plugins that implement `before_commit` and `on_event`.

    A reaction has the database at hand, outside of the transaction that has caused it, and the context variables of the
    request, so that its log lines carry the request's id.
    """

    def __init__(self, plugins: Plugins, contributions: Iterable[Contribution], database: Database) -> None:
        self._plugins = plugins
        self._database = database
        contributions = list(contributions)
        self._recorders = [it for it in contributions if plugins.implements(it.plugin, "before_commit")]
        self._journals = [it for it in contributions if it.journal is not None]
        self._listeners = [
            (it, asyncio.Semaphore(AT_ONCE)) for it in contributions if plugins.implements(it.plugin, "on_event")
        ]
        # The event loop itself does not keep a task from being collected as garbage.
        self._tasks: set[asyncio.Task[None]] = set()

    async def record(self, event: Event) -> None:
        """Let the plugins write down what the event asks for, in the transaction that has caused it.

        Raises:
            Exception: Whatever a plugin raises; the transaction must not be committed then.
        """
        for contribution in active(self._recorders):
            await self._plugins.run(contribution.plugin, "before_commit", event=event, context=contribution.context)

    def subscriptions(self) -> list[PreparedQuery[Any]] | None:
        """The queries that find nothing when no plugin has anything to write down; None where one cannot say so."""
        queries = [it.subscriptions for it in active(self._recorders)]
        return None if None in queries else cast("list[PreparedQuery[Any]]", queries)

    def journals(self) -> list[Journal]:
        """The tables in which every event leaves a row."""
        return [it.journal for it in active(self._journals) if it.journal]

    def publish(self, events: Iterable[Event]) -> None:
        """Let every plugin react to every event; what it has to wait for goes on in a task of its own."""
        with self._database.bound():
            for event in events:
                for contribution, turns in self._listeners:
                    if contribution.is_active and (reaction := self._reaction(contribution, event)) is not None:
                        # It takes the database with it.
                        task = asyncio.create_task(self._wait(contribution, turns, event, reaction))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait for the reactions that are under way, and give up those that take longer than ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:  # a reaction may cause events itself
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CANCEL_SECONDS)

    def _reaction(self, contribution: Contribution, event: Event) -> Awaitable[None] | None:
        try:
            reaction: Awaitable[None] | None = self._plugins.run(
                contribution.plugin, "on_event", event=event, context=contribution.context
            )
        except Exception:
            log.exception("event not handled", plugin=contribution.plugin.slug, event_name=event.name)
            return None
        return reaction

    async def _wait(
        self, contribution: Contribution, turns: asyncio.Semaphore, event: Event, reaction: Awaitable[None]
    ) -> None:
        plugin = contribution.plugin
        try:
            async with turns:
                await reaction
        except asyncio.CancelledError:
            log.error("event given up", plugin=plugin.slug, event_name=event.name)  # noqa: TRY400 - it says nothing of why
            raise
        except Exception:
            log.exception("event not handled", plugin=plugin.slug, event_name=event.name)
        finally:
            if isinstance(reaction, Coroutine):
                reaction.close()  # one that was given up before its turn
