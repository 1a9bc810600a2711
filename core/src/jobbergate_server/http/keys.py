"""Keys of the application's shared objects: ``request.app[KEY]``."""

import asyncio

from aiohttp import web

from jobbergate_server.auth.oidc import Provider
from jobbergate_server.database.connection import Database
from jobbergate_server.files import Files
from jobbergate_server.settings import Settings

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
DATABASE: web.AppKey[Database] = web.AppKey("database", Database)
"""`request.app[DATABASE]`: the database."""
FILES: web.AppKey[Files] = web.AppKey("files", Files)
"""`request.app[FILES]`: the file store."""
PROVIDER: web.AppKey[Provider] = web.AppKey("provider", Provider)
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""Set as soon as the server receives a signal to shut down."""
