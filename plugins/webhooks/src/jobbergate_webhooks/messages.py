"""What is delivered, and how it is signed: as https://www.standardwebhooks.com says."""

import base64
import hmac
import json
import secrets
from contextvars import ContextVar

from jobbergate_server import Event, PreparedQuery, __version__, now
from jobbergate_webhooks.models import Delivery, Webhook

PREFIX = "whsec_"

subscriptions = PreparedQuery(Webhook, lambda owner: Webhook.filter(owner_email=owner, is_enabled=True))
# Locked, because a webhook that is deleted now would make the whole request fail.
enabled_webhooks = PreparedQuery(
    Webhook,
    lambda owner: Webhook.filter(owner_email=owner, is_enabled=True).order_by("id").select_for_update(no_key=True),
)
stored_for: ContextVar[Event | None] = ContextVar("stored_for", default=None)
"""The last event that deliveries were stored for."""


def new_secret() -> str:
    """A secret to sign with."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


async def write_down(event: Event) -> None:
    """Store a delivery of ``event`` for each webhook of its owner that wants it."""
    owner = event.data.get("owner_email")
    if not owner:
        return
    webhooks = [webhook for webhook in await enabled_webhooks(owner) if event.name in webhook.events]
    if not webhooks:
        return
    stored_for.set(event)
    moment = now()
    timestamp = moment.isoformat().replace("+00:00", "Z")
    payload = json.dumps({"type": event.name, "timestamp": timestamp, "data": event.data}, separators=(",", ":"))
    await Delivery.bulk_create(
        Delivery(
            created_at=moment,
            updated_at=moment,
            webhook_id=webhook.id,
            message_id=f"msg_{secrets.token_hex(16)}",
            event=event.name,
            payload=payload,
            next_attempt_at=moment,
        )
        for webhook in webhooks
    )


def headers(delivery: Delivery, timestamp: int) -> dict[str, str]:
    """The headers of an attempt to deliver at ``timestamp``."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"jobbergate-server/{__version__}",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(delivery.webhook.secret, delivery.message_id, timestamp, delivery.payload),
    }


def sign(secret: str, message_id: str, timestamp: int, payload: str) -> str:
    """The signature of a message."""
    signed = f"{message_id}.{timestamp}.{payload}"
    digest = hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), signed.encode(), "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
