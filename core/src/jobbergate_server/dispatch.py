"""Telling the plugins what has happened, after it is committed and without holding up the answer."""

import asyncio
from collections.abc import Iterable

import structlog

from jobbergate_server.contributions import Contribution
from jobbergate_server.events import Event
from jobbergate_server.plugins import Plugins

CLOSE_SECONDS = 10.0
"""How long the reactions that are under way may take to end when the server stops."""

log = structlog.get_logger()


class Dispatcher:
    """Hands events to the plugins that implement `on_event`."""

    def __init__(self, plugins: Plugins, contributions: Iterable[Contribution]) -> None:
        self._plugins = plugins
        self._contributions = list(contributions)
        self._tasks: set[asyncio.Task[None]] = set()

    def publish(self, events: Iterable[Event]) -> None:
        """Let every plugin react to every event, in tasks of their own."""
        for event in events:
            for contribution in self._contributions:
                task = asyncio.create_task(self._tell(contribution, event))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for the reactions that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    async def _tell(self, contribution: Contribution, event: Event) -> None:
        try:
            reaction = self._plugins.run(contribution.plugin, "on_event", event=event, context=contribution.context)
            if reaction is not None:
                await reaction
        except Exception:
            log.exception("event not handled", plugin=contribution.plugin.slug, event_name=event.name)
