"""The boot order: from settings to an application that serves."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from jobbergate_server import __version__
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.contributions import CONTRIBUTIONS, Contribution, collect, tortoise_apps
from jobbergate_server.cors import allow_origin, cors_middleware
from jobbergate_server.database import DATABASE, Database
from jobbergate_server.dispatch import Dispatcher
from jobbergate_server.errors import error_middleware
from jobbergate_server.files import FILES, Files
from jobbergate_server.logs import log_middleware
from jobbergate_server.migrations import migrate, pending
from jobbergate_server.openapi import DOCUMENT, build_document, encode
from jobbergate_server.plugins import PLUGINS, Plugin, Plugins, StartError, discover
from jobbergate_server.readiness import PROVIDER, require_database
from jobbergate_server.routing import mount
from jobbergate_server.settings import SETTINGS, Settings

log = structlog.get_logger()

REDIRECT = web.normalize_path_middleware(
    append_slash=False, remove_slash=True, merge_slashes=False, redirect_class=web.HTTPPermanentRedirect
)
"""A known path with a slash at its end leads to the one without; 308 keeps method and body."""

MAX_BODY = 8 * 2**20
"""Bytes of a JSON body; uploads have a limit of their own."""


def create_app(settings: Settings, installed: Iterable[Plugin] | None = None) -> web.Application:
    """The application of ``settings``, with the plugins of this environment unless ``installed`` names others.

    Nothing is opened yet: the database is connected, and its schema checked, when the application starts.

    Raises:
        StartError: Settings or plugins do not allow to start; the text has a line for each reason.
    """
    plugins = Plugins(discover() if installed is None else installed, settings.plugins)
    contributions = collect(plugins, settings)
    if settings.oidc.issuer is None:
        raise StartError("oidc.issuer: must be set")

    app = web.Application(
        middlewares=[log_middleware, cors_middleware, error_middleware, REDIRECT],
        client_max_size=MAX_BODY,
    )
    app[SETTINGS] = settings
    app[PLUGINS] = plugins
    app[CONTRIBUTIONS] = contributions
    app[DATABASE] = Database(settings.database, tortoise_apps(contributions))
    app[FILES] = Files(settings.files)
    app[PROVIDER] = Provider(settings.oidc.issuer, keys_max_age=settings.oidc.keys_max_age)
    app[DOCUMENT] = encode(build_document(contributions, __version__))
    verifier = TokenVerifier(app[PROVIDER], settings.oidc)
    for contribution in contributions:
        mount(app, contribution.plugin.prefix, contribution.routes, verifier, app[DATABASE])
    app.on_response_prepare.append(allow_origin)
    app.cleanup_ctx.append(_connect)
    app.cleanup_ctx.append(_check_schema)
    app.cleanup_ctx.append(partial(_tell_plugins, Dispatcher(plugins, contributions, app[DATABASE])))
    app.cleanup_ctx.extend(_lifespans(plugins, contributions))
    return app


def _lifespans(
    plugins: Plugins, contributions: Iterable[Contribution]
) -> Iterator[Callable[[web.Application], AsyncIterator[None]]]:
    for contribution in contributions:
        lifespan = plugins.call(contribution.plugin, "lifespan", _context_manager, context=contribution.context)
        if lifespan is not None:
            yield partial(_keep_open, lifespan)
    plugins.refuse_failures()


def _context_manager(lifespan: object) -> AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]]:
    if not isinstance(lifespan, AbstractAsyncContextManager):
        raise TypeError(f"{lifespan!r} is not an asynchronous context manager")
    return lifespan


async def _keep_open(
    lifespan: AbstractAsyncContextManager[Mapping[web.AppKey[Any], object]], app: web.Application
) -> AsyncIterator[None]:
    async with lifespan as kept:
        for key, value in kept.items():
            app[key] = value
        yield


async def _connect(app: web.Application) -> AsyncIterator[None]:
    async with app[DATABASE].connected(), app[PROVIDER]:
        yield


async def _tell_plugins(dispatcher: Dispatcher, app: web.Application) -> AsyncIterator[None]:
    app[DATABASE].publish = dispatcher.publish
    yield
    await dispatcher.close()


async def _check_schema(app: web.Application) -> AsyncIterator[None]:
    database = app[DATABASE]
    await require_database(database)
    if app[SETTINGS].database.migrate_on_start:
        for name in await migrate(database):
            log.info("migration applied", migration=name)
    elif missing := await pending(database):
        raise StartError(
            f"The schema is behind: {', '.join(missing)} must be applied. Run `jobbergate-server migrate`, "
            "or set database.migrate_on_start."
        )
    yield
