"""The contract between the server and its plugins.

A plugin is a module, named by an entry point of the group `jobbergate.plugins`. The entry point's name is the plugin's
slug: the prefix of its routes and the name of its settings table. It implements any of these hooks under `hookimpl`,
taking only the arguments that it needs. Hooks return what the plugin contributes; none is handed the application.

Each hook of a plugin has `plugins.start_timeout` seconds to return when the server starts.
"""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import click
import pluggy
from aiohttp import web

from jobbergate_server.auth.permissions import Permission
from jobbergate_server.events import Event, EventType
from jobbergate_server.files import Files
from jobbergate_server.plugins.context import HandledRequest, Models, PluginContext, Statistics
from jobbergate_server.routing.route import Route
from jobbergate_server.settings import Section

PROJECT = "jobbergate"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""The decorator of a function that implements the hook of the same name."""


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
    """Agree to an event in the transaction that causes it, before that is committed, or refuse it.

    An `ApiError` rolls back the transaction and becomes the response; any other exception becomes a 500. What the hook
    writes is committed with the event. While a plugin implements it, requests that add a row take longer.
    """


@hookspec
def on_event(event: Event, context: PluginContext) -> Awaitable[None] | None:
    """React to a committed event, of requests and of commands.

    One process of the site calls it, in the order of commits, at least once for each event: a process that dies before
    the reaction ended leaves the event to another. What takes no time is done in a plain function. What waits is a
    coroutine, or is returned by the function; a plugin waits in ten reactions at a time. `Unavailable` repeats the
    reaction until it succeeds; any other exception is logged, and the event counts as handled.
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
