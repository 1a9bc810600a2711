"""The boot order: from settings to an application that serves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from jobbergate_server import __version__
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.contributions import CONTRIBUTIONS, EVENTS, Contribution, active, event_types
from jobbergate_server.cors import allow_origin, cors_middleware
from jobbergate_server.database import DATABASE, Database
from jobbergate_server.dispatch import Dispatcher
from jobbergate_server.errors import error_middleware
from jobbergate_server.files import FILES, Files
from jobbergate_server.hookspecs import Statistics
from jobbergate_server.idempotency import TURNS, purge_regularly
from jobbergate_server.logs import add_request_id, logging_middleware
from jobbergate_server.migrations import migrate, pending
from jobbergate_server.observers import observing_middleware
from jobbergate_server.openapi import DOCUMENT, encoded_document
from jobbergate_server.plugins import PLUGINS, Plugin, Plugins, StartError
from jobbergate_server.readiness import PROVIDER, STOPPING, require_database
from jobbergate_server.routing import mount
from jobbergate_server.security import restrict
from jobbergate_server.settings import SETTINGS, Settings
from jobbergate_server.site import Site
from jobbergate_server.totals import TOTALS, Totals

log = structlog.get_logger()

REDIRECT = web.normalize_path_middleware(
    append_slash=False, remove_slash=True, merge_slashes=False, redirect_class=web.HTTPPermanentRedirect
)
"""A known path with a slash at its end leads to the one without; 308 keeps method and body."""

MAX_BODY = 8 * 2**20
"""Bytes of a JSON body; uploads have a limit of their own."""


def create_app(settings: Settings, installed: Iterable[Plugin] | None = None) -> web.Application:
    """The application of ``settings``, with the plugins of this environment unless ``installed`` names others.

    Nothing is opened yet. When the application starts, it connects the database, checks its schema, lets the plugins
    open what they need, and mounts the routes of those that could.

    Raises:
        StartError: Settings or plugins do not allow to start; the text has a line for each reason.
    """
    site = Site.of(settings, installed)
    plugins, contributions = site.plugins, site.contributions
    if settings.oidc.issuer is None:
        raise StartError("oidc.issuer: must be set")
    document = _document(plugins, contributions)

    database = site.database()
    provider = Provider(settings.oidc.issuer, keys_max_age=settings.oidc.keys_max_age)
    verifier = TokenVerifier(provider, settings.oidc)
    observers = [it for it in contributions if plugins.implements(it.plugin, "on_request")]
    observing = [observing_middleware(plugins, observers)] if observers else []
    cors = [cors_middleware] if settings.cors.origins else []
    app = web.Application(
        middlewares=[logging_middleware(), *observing, *cors, error_middleware, REDIRECT], client_max_size=MAX_BODY
    )
    app[SETTINGS] = settings
    app[PLUGINS] = plugins
    app[CONTRIBUTIONS] = contributions
    app[DOCUMENT] = document
    app[EVENTS] = event_types(contributions)
    app[DATABASE] = database
    app[TOTALS] = Totals(database, settings.limits.total_max_age)
    app[FILES] = Files(settings.files)
    app[PROVIDER] = provider
    app[STOPPING] = asyncio.Event()
    app[TURNS] = WeakValueDictionary()
    app.on_response_prepare.append(add_request_id)
    app.on_response_prepare.append(restrict)
    if cors:
        app.on_response_prepare.append(allow_origin)
    app.cleanup_ctx.append(_connect)
    app.cleanup_ctx.append(_check_schema)  # migrations may take as long as they need, and statements later not
    app.cleanup_ctx.append(partial(_in_background, Database.limit_statements))
    app.cleanup_ctx.append(partial(_in_background, purge_regularly))
    app.cleanup_ctx.append(partial(_tell_plugins, Dispatcher(plugins, contributions, database)))
    app.cleanup_ctx.extend(
        partial(_keep_open, contribution, lambda: {**database.statistics(), **verifier.statistics()})
        for contribution in contributions
        if plugins.implements(contribution.plugin, "lifespan")
    )
    app.cleanup_ctx.append(partial(_mount, verifier))
    return app


def _document(plugins: Plugins, contributions: list[Contribution]) -> bytes:
    """The API document, after those are left out of ``contributions`` whose part of it cannot be written."""
    try:
        return encoded_document(contributions, __version__)
    except Exception:  # noqa: BLE001 - what a schema of a plugin does, which is found and named here
        for it in contributions:
            plugins.attempt(it.plugin, "API document", partial(encoded_document, [it], __version__))
    plugins.refuse_failures()
    contributions[:] = active(contributions)
    return encoded_document(contributions, __version__)


async def _connect(app: web.Application) -> AsyncIterator[None]:
    async with app[DATABASE].connected(is_served=True), app[PROVIDER]:
        yield


async def _check_schema(app: web.Application) -> AsyncIterator[None]:
    database = app[DATABASE]
    await require_database(database)
    if app[SETTINGS].database.migrate_on_start:
        contributions = app[CONTRIBUTIONS]
        for name in await migrate(database, contributions):
            log.info("migration applied", migration=name)
    elif missing := await pending(database):
        raise StartError(
            f"The schema is behind: {', '.join(missing)} must be applied. Run `jobbergate-server migrate`, "
            "or set database.migrate_on_start."
        )
    yield


async def _in_background(
    work: Callable[[Database], Coroutine[None, None, None]], app: web.Application
) -> AsyncIterator[None]:
    task = asyncio.create_task(work(app[DATABASE]))
    yield
    task.cancel()
    await asyncio.wait([task])


async def _tell_plugins(dispatcher: Dispatcher, app: web.Application) -> AsyncIterator[None]:
    app[DATABASE].record = dispatcher.record
    app[DATABASE].publish = dispatcher.publish
    app[DATABASE].subscriptions = dispatcher.subscriptions
    app[DATABASE].journals = dispatcher.journals
    yield
    await dispatcher.close()


async def _keep_open(contribution: Contribution, statistics: Statistics, app: web.Application) -> AsyncIterator[None]:
    plugins, plugin, context = app[PLUGINS], contribution.plugin, contribution.context
    plugins.refuse_failures()
    if not contribution.is_active:  # an earlier one that it requires could not open what it needs
        yield
        return
    with app[DATABASE].bound():
        lifespan = plugins.call(plugin, "lifespan", _context_manager, context=context, statistics=statistics)
        kept = await plugins.wait(plugin, "lifespan", lifespan.__aenter__()) if lifespan else None
    context.kept.update(kept or {})
    for key, value in context.kept.items():
        app[key] = value
    entered = contribution.is_active
    yield
    if lifespan and entered:
        try:
            with app[DATABASE].bound():
                await lifespan.__aexit__(None, None, None)
        except Exception:
            log.exception("plugin not closed", plugin=plugin.slug)
            raise


def _context_manager(lifespan: object) -> AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]:
    if not isinstance(lifespan, AbstractAsyncContextManager):
        raise TypeError(f"{lifespan!r} is not an asynchronous context manager")
    return lifespan


async def _mount(verifier: TokenVerifier, app: web.Application) -> AsyncIterator[None]:
    contributions = app[CONTRIBUTIONS]
    app[PLUGINS].refuse_failures()
    if not all(contribution.is_active for contribution in contributions):
        contributions[:] = active(contributions)
        app[DOCUMENT] = encoded_document(contributions, __version__)
        app[EVENTS] = event_types(contributions)
    for contribution in contributions:
        mount(app, contribution.plugin, contribution.routes, verifier, app[DATABASE])
    yield
