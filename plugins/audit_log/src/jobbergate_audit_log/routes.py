"""The route of the audit log."""

from aiohttp import web
from tortoise.expressions import Q

from jobbergate_audit_log.models import AuditEntry
from jobbergate_audit_log.permissions import VIEW
from jobbergate_audit_log.schemas import AuditEntryListParameters, AuditEntrySchema
from jobbergate_server import QUERY, ListQuery, Route

FILTERS = ("event", "resource_id", "email")


def listed(request: web.Request) -> Q:
    """The entries that a list shows."""
    query = request[QUERY]
    return Q(**{name: query[name] for name in FILTERS if name in query})


list_entries = ListQuery(
    AuditEntry,
    AuditEntrySchema,
    summary="List who has changed what",
    parameters=AuditEntryListParameters,
    where=listed,
    search=["event", "email", "client_id"],
    sort=["id", "created_at"],
)

ROUTES = [Route("GET", "", list_entries, permission=VIEW)]
