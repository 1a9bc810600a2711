"""The route of the audit log: a list of the committed events."""

from aiohttp import web
from tortoise.expressions import Q

from jobbergate_audit_log.permissions import VIEW
from jobbergate_audit_log.schemas import AuditEntryListParameters, AuditEntrySchema
from jobbergate_server import QUERY, EventRecord, ListQuery, Route

FILTERS = {"event": "type", "resource_id": "subject_id", "email": "actor_email"}
"""The columns by the parameters that filter by them."""


def shown(request: web.Request) -> Q:
    """Return the filter of a list, from the parameters of the query."""
    query = request[QUERY]
    return Q(**{column: query[name] for name, column in FILTERS.items() if name in query})


list_entries = ListQuery(
    EventRecord,
    AuditEntrySchema,
    name="audit_entries",
    summary="List the audit log",
    parameters=AuditEntryListParameters,
    where=shown,
    search=["type", "actor_email", "actor_client_id"],
    sort=["id", "created_at"],
)

ROUTES = [Route("GET", "", list_entries, permission=VIEW)]
