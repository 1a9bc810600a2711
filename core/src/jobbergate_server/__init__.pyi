# The public names, and where they are defined.

from .auth.identity import CLIENT_ID_LENGTH, EMAIL_LENGTH
from .auth.middleware import IDENTITY
from .auth.permissions import AUTHENTICATED, PUBLIC, Permission
from .database.connection import transaction
from .database.event_log import purge_events
from .database.file_field import FileField
from .database.models import EventRecord
from .database.prepared import PreparedQuery
from .database.rows import delete_row, get_row
from .database.transaction import emit, transaction_time
from .errors import (
    ApiError,
    BadRequest,
    Conflict,
    ContentTooLarge,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    RequestTimeout,
    Unavailable,
    Unprocessable,
)
from .events import Event, EventType, Origin
from .files import Files
from .http import fields
from .http.fields import Schema
from .http.forms import File, Upload
from .http.keys import DATABASE, FILES
from .http.owners import get_own_row, require_email, require_owner
from .http.requests import BODY, FORM, HEADERS, PATH, QUERY
from .http.responses import json_response, stream_json
from .lists.query import ListParameters, ListQuery
from .plugins.context import HandledRequest, Models, PluginContext, Statistics
from .plugins.contribution import EVENTS
from .plugins.hookspecs import hookimpl
from .routing.route import MOUNT, Route
from .settings import Section

__version__: str

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
    "MOUNT",
    "PATH",
    "PUBLIC",
    "QUERY",
    "ApiError",
    "BadRequest",
    "Conflict",
    "ContentTooLarge",
    "Event",
    "EventRecord",
    "EventType",
    "FieldError",
    "File",
    "FileField",
    "Files",
    "Forbidden",
    "HandledRequest",
    "InvalidRequest",
    "ListParameters",
    "ListQuery",
    "Models",
    "NotFound",
    "Origin",
    "Permission",
    "PluginContext",
    "PreparedQuery",
    "RequestTimeout",
    "Route",
    "Schema",
    "Section",
    "Statistics",
    "Unavailable",
    "Unprocessable",
    "Upload",
    "__version__",
    "delete_row",
    "emit",
    "fields",
    "get_own_row",
    "get_row",
    "hookimpl",
    "json_response",
    "purge_events",
    "require_email",
    "require_owner",
    "stream_json",
    "transaction",
    "transaction_time",
]
