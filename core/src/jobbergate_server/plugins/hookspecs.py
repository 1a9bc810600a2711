"""The contract between the server and its plugins.

A plugin is a module that an entry point of the group `jobbergate.plugins` names. The entry point's name is the plugin's
slug: the prefix of its routes and the name of its settings table. The module implements any of these hooks with
`hookimpl`, and takes only the arguments that it needs. Hooks return the contributions of the plugin. They do not
receive the application.

When the server starts, each hook must return within `plugins.start_timeout` seconds.
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
    """Return the plugin's settings model, for the table `plugins.<slug>`."""


@hookspec
def register_models() -> Models:  # type: ignore[empty-body]
    """Return the plugin's database tables. Their Tortoise app label is the slug with `-` written as `_`."""


@hookspec
def register_permissions() -> Sequence[Permission]:  # type: ignore[empty-body]
    """Return every permission that the plugin's routes require."""


@hookspec
def register_events() -> Sequence[EventType]:  # type: ignore[empty-body]
    """Return every event type that the plugin emits with `emit`."""


@hookspec
def register_routes(context: PluginContext) -> Sequence[Route]:  # type: ignore[empty-body]
    """Return the plugin's routes, with paths below `/jobbergate/<slug>`."""


@hookspec
def register_commands(context: PluginContext) -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Return click commands, which run as `jobbergate-server <slug> <command>`.

    A command whose function is a coroutine runs with the database connected. It can use models, `get_row` and
    `transaction`, and the server dispatches its events to plugins.
    """


@hookspec
def lifespan(  # type: ignore[empty-body]
    context: PluginContext, statistics: Statistics
) -> AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]:
    """Return an asynchronous context manager that the server enters before it serves and exits when it shuts down.

    `request.app` has the values that it yields, by their keys. The database is connected. ``statistics`` returns
    numbers about this process: `database_connections`, `database_connections_idle`, `tokens_cached`,
    `token_cache_hits` and `token_cache_misses`.
    """


@hookspec
def before_commit(event: Event, context: PluginContext) -> Awaitable[None]:  # type: ignore[empty-body]
    """Accept or veto an event in the transaction that causes it, before the commit.

    An `ApiError` rolls back the transaction and becomes the response; any other exception becomes a 500. Rows that the
    hook writes are committed with the event. If a plugin implements this hook, requests that insert a row take longer.
    """


@hookspec
def on_event(event: Event, context: PluginContext) -> Awaitable[None] | None:
    """React to a committed event of a request or a command.

    One process of the installation calls the hook at least once for each event, in the order of commits. If that
    process is killed before the reaction ends, another process repeats it. A quick reaction is a plain function. A
    reaction that waits is a coroutine function, or a function that returns an awaitable. Ten reactions of a plugin can
    wait at the same time. After `Unavailable`, the server retries the reaction until it succeeds. It logs any other
    exception, and the event counts as handled.
    """


@hookspec
def on_request(request: HandledRequest, context: PluginContext) -> None:
    """Observe a request after its response; the server logs exceptions.

    The server calls the hook for each request, and waits for it. The hook must return quickly.
    """


@hookspec
def check_health(context: PluginContext) -> Awaitable[str]:  # type: ignore[empty-body]
    """Return `ok`, or the reason why the plugin cannot work, which `/jobbergate/ready` shows without a token.

    The hook must return within 5 seconds. If a plugin is not healthy, that path responds 503, unless
    `plugins.optional` contains the plugin.
    """


@hookspec
def add_samples(owner: str, files: Files) -> Awaitable[None]:  # type: ignore[empty-body]
    """Add a sample row that the e-mail address ``owner`` owns, unless rows exist; for `jobbergate-server dev`."""
