"""The REST API of Jobbergate: a small aiohttp core, and a plugin for every resource.

Everything that a plugin's author imports is here.
"""

from importlib.metadata import version

__version__ = version("jobbergate-server")

from jobbergate_server import fields
from jobbergate_server.auth.identity import CLIENT_ID_LENGTH, EMAIL_LENGTH, caller
from jobbergate_server.contributions import EVENTS
from jobbergate_server.database import DATABASE, delete_row, emit, find, now, transaction
from jobbergate_server.errors import (
    ApiError,
    BadRequest,
    Conflict,
    ContentTooLarge,
    Forbidden,
    InvalidRequest,
    NotFound,
    Problem,
    RequestTimeout,
    Unavailable,
    Unprocessable,
)
from jobbergate_server.events import Event, EventType
from jobbergate_server.fields import Schema
from jobbergate_server.files import FILES, FileField, Files
from jobbergate_server.hookspecs import Models, PluginContext, Statistics, hookimpl
from jobbergate_server.journal import Journal
from jobbergate_server.pagination import ListParameters, ListQuery
from jobbergate_server.paths import confined_path
from jobbergate_server.permissions import (
    AUTHENTICATED,
    IDENTITY,
    PUBLIC,
    Permission,
    find_own,
    require_email,
    require_owner,
)
from jobbergate_server.requests import BODY, FORM, HEADERS, PATH, QUERY
from jobbergate_server.responses import json_response, stream_json
from jobbergate_server.routing import HandledRequest, Route
from jobbergate_server.settings import Section
from jobbergate_server.statements import PreparedQuery
from jobbergate_server.uploads import File, Upload

__all__ = [
    "AUTHENTICATED",
    "BODY",
    "CLIENT_ID_LENGTH",
    "DATABASE",
    "EMAIL_LENGTH",
    "EVENTS",
    "FILES",
    "FORM",
    "HEADERS",
    "IDENTITY",
    "PATH",
    "PUBLIC",
    "QUERY",
    "ApiError",
    "BadRequest",
    "Conflict",
    "ContentTooLarge",
    "Event",
    "EventType",
    "File",
    "FileField",
    "Files",
    "Forbidden",
    "HandledRequest",
    "InvalidRequest",
    "Journal",
    "ListParameters",
    "ListQuery",
    "Models",
    "NotFound",
    "Permission",
    "PluginContext",
    "PreparedQuery",
    "Problem",
    "RequestTimeout",
    "Route",
    "Schema",
    "Section",
    "Statistics",
    "Unavailable",
    "Unprocessable",
    "Upload",
    "__version__",
    "caller",
    "confined_path",
    "delete_row",
    "emit",
    "fields",
    "find",
    "find_own",
    "hookimpl",
    "json_response",
    "now",
    "require_email",
    "require_owner",
    "stream_json",
    "transaction",
]
