"""The routes of webhooks."""

from collections.abc import Iterator
from typing import Any

from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, response_schema
from tortoise.expressions import Q

from jobbergate_server import (
    BODY,
    EVENTS,
    IDENTITY,
    PATH,
    FieldError,
    InvalidRequest,
    ListQuery,
    Route,
    fields,
    get_own_row,
    require_email,
    transaction_time,
)
from jobbergate_webhooks.addresses import ADDRESSES
from jobbergate_webhooks.events import CREATED, DELETED, UPDATED, emit_event
from jobbergate_webhooks.messages import new_secret
from jobbergate_webhooks.models import Delivery, Webhook
from jobbergate_webhooks.permissions import EDIT, VIEW
from jobbergate_webhooks.schemas import (
    DeliverySchema,
    NewWebhookSchema,
    WebhookCreateSchema,
    WebhookPathSchema,
    WebhookSchema,
    WebhookUpdateSchema,
)

list_webhooks = ListQuery(
    Webhook,
    WebhookSchema,
    summary="List one's own webhooks",
    where=lambda request: Q(owner_email=request[IDENTITY].email),
    search=["url"],
    sort=["id", "url", "is_enabled", "created_at", "updated_at"],
)

list_deliveries = match_info_schema(WebhookPathSchema)(
    ListQuery(
        Delivery,
        DeliverySchema,
        summary="List the deliveries of a webhook",
        where=lambda request: Q(webhook_id=request[PATH]["webhook_id"]),
        search=["event", "message_id", "error"],
        sort=["id", "event", "status", "attempts", "next_attempt_at", "response_status", "created_at", "updated_at"],
    )
)


@docs(summary="Add a webhook")
@json_schema(WebhookCreateSchema)
@response_schema(NewWebhookSchema, 201)
async def create_webhook(request: web.Request) -> Webhook:
    """Add a webhook that the caller owns. It receives events about the caller's resources.

    Only this response contains the secret. It signs the deliveries according to Standard Webhooks.
    """
    owner, moment = require_email(request), transaction_time()
    webhook = await Webhook.create(
        **changes(request), owner_email=owner, secret=new_secret(), created_at=moment, updated_at=moment
    )
    emit_event(CREATED, webhook)
    return webhook


@docs(summary="Get a webhook")
@match_info_schema(WebhookPathSchema)
@response_schema(WebhookSchema)
async def get_webhook(request: web.Request) -> Webhook:
    """Return a webhook. Only its owner can read it."""
    return await own_webhook(request)


@docs(summary="Change a webhook")
@match_info_schema(WebhookPathSchema)
@json_schema(WebhookUpdateSchema)
@response_schema(WebhookSchema)
async def update_webhook(request: web.Request) -> Webhook:
    """Change a webhook. Pending deliveries go to the new URL. A disabled webhook receives none."""
    webhook = await own_webhook(request, lock=True)
    webhook.update_from_dict(changes(request) | {"updated_at": transaction_time()})
    await webhook.save()
    emit_event(UPDATED, webhook)
    return webhook


@docs(summary="Delete a webhook", responses={"204": {"description": "The webhook and its deliveries are deleted."}})
@match_info_schema(WebhookPathSchema)
async def delete_webhook(request: web.Request) -> None:
    """Delete a webhook. Its pending deliveries are discarded."""
    webhook = await own_webhook(request, lock=True)
    await webhook.delete()
    emit_event(DELETED, webhook)


async def prepare_deliveries(request: web.Request) -> None:
    """Reject a list of deliveries unless the caller owns the webhook."""
    await own_webhook(request)


async def own_webhook(request: web.Request, *, lock: bool = False) -> Webhook:
    """Return the webhook of the path, which the caller must own."""
    return await get_own_row(request, Webhook, "webhook_id", owner="owner_email", lock=lock)


def changes(request: web.Request) -> dict[str, Any]:
    """Return the columns that the request sets.

    Raises:
        InvalidRequest: The URL or an event is invalid on this server.
    """
    body = request[BODY]
    if wrong := list(problems(request, body)):
        raise InvalidRequest(wrong)
    return {**body, **({"events": list(dict.fromkeys(body["events"]))} if "events" in body else {})}


def problems(request: web.Request, body: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Yield the validation errors of the URL and the events."""
    if "url" in body and (refusal := request.app[ADDRESSES].refusal(body["url"])):
        yield FieldError("value_error", refusal).entry(["body", "url"])
    if body.get("events") == []:
        problem = FieldError("value_error.list.min_items", "ensure this value has at least 1 items", {"limit_value": 1})
        yield problem.entry(["body", "events"])
    registered = request.app[EVENTS]
    known = fields.Choice(sorted(registered))
    for index, name in enumerate(body.get("events", ())):
        if name not in known.choices:
            yield known.problem.entry(["body", "events", index])


ROUTES = [
    Route("GET", "", list_webhooks, permission=VIEW),
    Route("POST", "", create_webhook, permission=EDIT, status=201, inserts=True),
    Route("GET", "/{webhook_id}", get_webhook, permission=VIEW),
    Route("PUT", "/{webhook_id}", update_webhook, permission=EDIT),
    Route("DELETE", "/{webhook_id}", delete_webhook, permission=EDIT, status=204),
    Route("GET", "/{webhook_id}/deliveries", list_deliveries, permission=VIEW, prepare=prepare_deliveries),
]
