"""Boot: from settings to an application that serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from jobbergate_server.auth.middleware import PERMISSIONS, authentication_middleware
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.database.connection import Database
from jobbergate_server.database.health import require_database
from jobbergate_server.errors import StartError
from jobbergate_server.files import Files
from jobbergate_server.http.cors import allow_origin, cors_middleware
from jobbergate_server.http.errors import error_middleware
from jobbergate_server.http.idempotency import TURNS, purge_regularly
from jobbergate_server.http.keys import DATABASE, FILES, PROVIDER, SETTINGS, STOPPING
from jobbergate_server.http.logs import add_request_id, logging_middleware
from jobbergate_server.http.response_headers import restrict
from jobbergate_server.installation import Installation
from jobbergate_server.lists.totals import TOTALS, Totals
from jobbergate_server.openapi import DOCUMENT, encoded_document
from jobbergate_server.plugins.context import Statistics
from jobbergate_server.plugins.contribution import CONTRIBUTIONS, EVENTS, Contribution, active, event_types
from jobbergate_server.plugins.dispatcher import Dispatcher
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import PLUGINS, Plugins
from jobbergate_server.plugins.request_observers import observing_middleware
from jobbergate_server.routing.endpoint import SLUGS, mount
from jobbergate_server.serving.inflight import IN_FLIGHT, InFlight
from jobbergate_server.settings import Settings
from jobbergate_server.tables.migrations import migrate, pending

REDIRECT = web.normalize_path_middleware(
    append_slash=False, remove_slash=True, merge_slashes=False, redirect_class=web.HTTPPermanentRedirect
)
"""A redirect from a known path with a trailing slash to the one without; 308 keeps method and body."""
MAX_BODY = 8 * 2**20
"""Maximum bytes of a JSON body; uploads have their own limit."""
REACTION_SECONDS = 4.0
"""Seconds that reactions to events have to finish when the server shuts down."""

Lifespan = AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]
Step = Callable[[web.Application], Awaitable[None]]

log = structlog.get_logger()


def create_app(
    settings: Settings, installed: Iterable[Plugin] | None = None, *, before_mount: Step | None = None
) -> web.Application:
    """Return the application of ``settings``, with the plugins of this environment or those in ``installed``.

    The database and other connections are opened when the application starts. ``before_mount`` is awaited after the
    lifespans of the plugins have started, before any route is served.

    Raises:
        StartError: Settings or plugins prevent the start; the text has a line for each reason.
    """
    # Discover, order, import and register plugins; read their settings; collect contributions; report conflicts.
    installation = Installation.of(settings, installed)
    plugins, contributions = installation.plugins, installation.contributions
    if settings.oidc.issuer is None:
        raise StartError("oidc.issuer: must be set")
    document = _document(plugins, contributions)

    database = installation.database()
    provider = Provider(settings.oidc.issuer, keys_max_age=settings.oidc.keys_max_age)
    verifier = TokenVerifier(provider, settings.oidc)
    in_flight = InFlight()
    observers = [it for it in contributions if plugins.implements(it.plugin, "on_request")]
    app = web.Application(
        middlewares=[  # in the order in which a request passes them
            in_flight.middleware,
            logging_middleware(),
            *([observing_middleware(plugins, observers)] if observers else []),
            *([cors_middleware] if settings.cors.origins else []),
            error_middleware,
            REDIRECT,
            authentication_middleware(verifier),
        ],
        client_max_size=MAX_BODY,
    )
    app.on_response_prepare.extend([add_request_id, restrict, *([allow_origin] if settings.cors.origins else [])])
    app[SETTINGS] = settings
    app[PLUGINS] = plugins
    app[CONTRIBUTIONS] = contributions
    app[DOCUMENT] = document
    app[EVENTS] = event_types(contributions)
    app[DATABASE] = database
    app[TOTALS] = Totals(database, settings.limits.total_max_age)
    app[FILES] = Files(settings.files)
    app[PROVIDER] = provider
    app[PERMISSIONS] = {}
    app[SLUGS] = {}
    app[IN_FLIGHT] = in_flight
    app[STOPPING] = asyncio.Event()
    app[TURNS] = WeakValueDictionary()

    async def opened(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(database.connected(is_served=True))
            await stack.enter_async_context(provider)
            await _require_schema(app)  # before the statement timeout: a migration may take longer
            await stack.enter_async_context(_in_background(database.limit_statements()))
            await stack.enter_async_context(_in_background(purge_regularly(database)))
            for contribution in contributions:
                if plugins.implements(contribution.plugin, "lifespan"):
                    statistics = partial(_statistics, database, verifier)
                    await stack.enter_async_context(_lifespan(app, contribution, statistics))
            if before_mount:
                await before_mount(app)
            _mount(app)
            # After failed plugins are removed: their events wait for the start at which they succeed.
            dispatcher = Dispatcher(
                plugins,
                contributions,
                database,
                keep=timedelta(days=settings.events.keep_days),
                close_seconds=REACTION_SECONDS,
            )
            await stack.enter_async_context(dispatcher.running())
            yield

    app.cleanup_ctx.append(opened)
    return app


def _document(plugins: Plugins, contributions: list[Contribution]) -> bytes:
    """Return the API document, and remove the contributions with invalid schemas."""
    try:
        return encoded_document(contributions)
    except Exception:  # noqa: BLE001 - a schema of a plugin raised it; the loop finds that plugin
        for it in contributions:
            plugins.attempt(it.plugin, "API document", partial(encoded_document, [it]))
    plugins.refuse_failures()
    contributions[:] = active(contributions)
    return encoded_document(contributions)


async def _require_schema(app: web.Application) -> None:
    database, contributions = app[DATABASE], app[CONTRIBUTIONS]
    await require_database(database)
    if app[SETTINGS].database.migrate_on_start:
        for name in await migrate(database, contributions):
            log.info("migration applied", migration=name)
    elif missing := await pending(database):
        raise StartError(
            f"The database schema is out of date. Missing migrations: {', '.join(missing)}. "
            "Run `jobbergate-server migrate`, or set database.migrate_on_start."
        )


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _statistics(database: Database, verifier: TokenVerifier) -> dict[str, float]:
    return {**database.statistics(), **verifier.statistics()}


@asynccontextmanager
async def _lifespan(app: web.Application, contribution: Contribution, statistics: Statistics) -> AsyncIterator[None]:
    """Run the lifespan of the plugin, and store the values that it yields in ``app``."""
    plugins, plugin, context = app[PLUGINS], contribution.plugin, contribution.context
    plugins.refuse_failures()
    if not contribution.is_active:  # a plugin that it requires has failed
        yield
        return
    async with AsyncExitStack() as stack:
        with app[DATABASE].bound():
            for lifespan in plugins.call(plugin, "lifespan", _context_manager, context=context, statistics=statistics):
                values = await plugins.wait(plugin, "lifespan", lifespan.__aenter__())
                if not contribution.is_active:
                    break
                stack.push_async_exit(partial(_close, app, plugin, lifespan))
                for key, value in (values or {}).items():
                    app[key] = value
        context.serve(app)
        yield


async def _close(app: web.Application, plugin: Plugin, lifespan: Lifespan, *_: object) -> None:
    try:
        with app[DATABASE].bound():
            await lifespan.__aexit__(None, None, None)
    except Exception:
        log.exception("plugin failed to shut down", plugin=plugin.slug)
        raise


def _context_manager(lifespan: object) -> Lifespan:
    if not isinstance(lifespan, AbstractAsyncContextManager):
        raise TypeError(f"{lifespan!r} is not an asynchronous context manager")
    return lifespan


def _mount(app: web.Application) -> None:
    """Mount the routes of the active plugins, and remove failed plugins from the API document."""
    contributions = app[CONTRIBUTIONS]
    app[PLUGINS].refuse_failures()
    if not all(contribution.is_active for contribution in contributions):
        contributions[:] = active(contributions)
        app[DOCUMENT] = encoded_document(contributions)
        app[EVENTS] = event_types(contributions)
    for contribution in contributions:
        mount(app, contribution.plugin.slug, contribution.routes, app[DATABASE])
