"""The contract between the server and its plugins.

A plugin is a module, named by an entry point of the group `jobbergate.plugins`. The entry point's name is the plugin's
slug: the prefix of its routes and the name of its settings table. It implements any of these hooks under `hookimpl`,
taking only the arguments that it needs. Hooks return what the plugin contributes; none is handed the application.

Each hook of a plugin has `plugins.start_timeout` seconds to return when the server starts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import click
import pluggy
from aiohttp import web

from jobbergate_server.events import Event, EventType
from jobbergate_server.files import Files
from jobbergate_server.journal import Journal
from jobbergate_server.permissions import Permission
from jobbergate_server.routing import HandledRequest, Route
from jobbergate_server.settings import Section
from jobbergate_server.statements import PreparedQuery

PROJECT = "jobbergate"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Value = TypeVar("Value")
Statistics = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Models:
    """Tortoise models of a plugin: the module that defines them, and the package of their migrations, by name."""

    module: str
    migrations: str


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin is told of itself: its slug, and its settings as the model that it registered.

    While the server serves, ``context[KEY]`` is what the plugin's `lifespan` has yielded under the `AppKey`; elsewhere,
    as in a command, there is none, which `get` answers with None.
    """

    slug: str
    settings: Section | None
    kept: dict[web.AppKey[Any], object] = field(default_factory=dict, repr=False)

    def __getitem__(self, key: web.AppKey[Value]) -> Value:
        return cast("Value", self.kept[key])

    def get(self, key: web.AppKey[Value]) -> Value | None:
        """What the plugin's `lifespan` has yielded under ``key``; None when the server does not serve."""
        return cast("Value | None", self.kept.get(key))


@hookspec
def register_settings() -> type[Section]:  # type: ignore[empty-body]
    """The model of the plugin's settings, which stand in the table `plugins.<slug>`."""


@hookspec
def register_models() -> Models:  # type: ignore[empty-body]
    """The plugin's database tables. Their Tortoise app label is the slug with `-` written as `_`."""


@hookspec
def register_permissions() -> Sequence[Permission]:  # type: ignore[empty-body]
    """Every permission that the plugin's routes ask for."""


@hookspec
def register_events() -> Sequence[EventType]:  # type: ignore[empty-body]
    """Every kind of event that the plugin tells of with `emit`."""


@hookspec
def register_routes(context: PluginContext) -> Sequence[Route]:  # type: ignore[empty-body]
    """The plugin's routes, with paths below `/jobbergate/<slug>`."""


@hookspec
def register_commands(context: PluginContext) -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Click commands, run as `jobbergate-server <slug> <command>`.

    A command whose function is a coroutine runs with the database connected: models, `find` and `transaction` work in
    it, and its events reach the plugins.
    """


@hookspec
def lifespan(  # type: ignore[empty-body]
    context: PluginContext, statistics: Statistics
) -> AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]:
    """What the plugin keeps open while the server serves; what it yields is found in `request.app` by its keys.

    The database is connected. ``statistics`` answers what the server counts of itself: `database_connections` and
    `database_connections_idle` of this process, and the `tokens_cached`, `token_cache_hits` and `token_cache_misses` of
    its token cache.
    """


@hookspec
def before_commit(event: Event, context: PluginContext) -> Awaitable[None]:  # type: ignore[empty-body]
    """Write down what an event asks for, in the transaction that has caused it, just before that is committed.

    What is written stands or falls with the change. A failure undoes the whole request, which is answered with 500.
    """


@hookspec
def register_subscriptions() -> PreparedQuery[Any]:  # type: ignore[empty-body]
    """The rows without which `before_commit` has nothing to write down, by the `owner_email` of an event.

    A change whose owner has none may be committed without asking `before_commit`. Where a plugin implements that hook
    and not this one, it is asked about every change, and all of them take longer.
    """


@hookspec
def register_journal() -> Journal:  # type: ignore[empty-body]
    """A table of the plugin in which every event leaves a row, in the transaction that has caused it.

    It takes less time than `before_commit`, and `caller` tells in it whose request it is.
    """


@hookspec
def on_event(event: Event, context: PluginContext) -> Awaitable[None] | None:
    """React to what a request has done, after its commit; a failure is logged and changes nothing for the request.

    What can be done at once is done in a plain function. What has to wait for something is a coroutine, or is returned
    by the function, and does not hold up the answer. A plugin waits in ten reactions at a time; further ones wait for
    their turn. A reaction that goes on for long after the server was asked to stop is cancelled.
    """


@hookspec
def on_request(request: HandledRequest, context: PluginContext) -> None:
    """Take note of a request that was answered; a failure is logged.

    It is called for each request, before the next one goes on: it must be quick and must not wait for anything.
    """


@hookspec
def check_health(context: PluginContext) -> Awaitable[str]:  # type: ignore[empty-body]
    """Whether the plugin can do its work: `ok`, or why not, in words that everybody may read in `/jobbergate/ready`.

    It has 5 seconds for its answer. When a plugin is not well, the server answers 503 there, unless the plugin is among
    `plugins.optional`.
    """


@hookspec
def add_samples(owner: str, files: Files) -> Awaitable[None]:  # type: ignore[empty-body]
    """Add a sample row of the e-mail address ``owner``, unless the plugin has rows; for `jobbergate-server dev`."""
