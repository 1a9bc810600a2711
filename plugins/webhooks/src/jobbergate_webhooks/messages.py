"""Deliveries and their signatures, according to https://www.standardwebhooks.com."""

import base64
import hmac
import json
import secrets
from datetime import datetime
from hashlib import sha256

from jobbergate_server import Event, PreparedQuery, __version__, transaction, transaction_time
from jobbergate_webhooks.models import Delivery, Webhook

PREFIX = "whsec_"

subscribers = PreparedQuery(Webhook, lambda owner: Webhook.filter(owner_email=owner, is_enabled=True))
# The lock prevents a concurrent deletion of a webhook, which would violate the foreign key of a delivery.
locked_subscribers = PreparedQuery(
    Webhook,
    lambda owner: Webhook.filter(owner_email=owner, is_enabled=True).order_by("id").select_for_update(no_key=True),
)


def new_secret() -> str:
    """Return a new signing secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


async def store(event: Event) -> bool:
    """Store a delivery of ``event`` for each subscribed webhook of its owner. Return whether any is subscribed.

    The unique message id prevents a second delivery when the server repeats an event after a crash.
    """
    owner, moment = event.data.get("owner_email"), event.created_at
    if not owner or moment is None or not any(_wants(it, event, moment) for it in await subscribers(owner)):
        return False
    timestamp = moment.isoformat().replace("+00:00", "Z")
    payload = json.dumps({"type": event.name, "timestamp": timestamp, "data": event.data}, separators=(",", ":"))
    async with transaction():
        now = transaction_time()
        deliveries = [
            Delivery(
                created_at=now,
                updated_at=now,
                webhook_id=webhook.id,
                message_id=_message_id(event, moment, webhook),
                event=event.name,
                payload=payload,
                next_attempt_at=now,
            )
            for webhook in await locked_subscribers(owner)
            if _wants(webhook, event, moment)
        ]
        await Delivery.bulk_create(deliveries, ignore_conflicts=True)
    return True


def _message_id(event: Event, moment: datetime, webhook: Webhook) -> str:
    return f"msg_{sha256(f'{event.id} {moment.isoformat()} {webhook.id}'.encode()).hexdigest()[:32]}"


def _wants(webhook: Webhook, event: Event, moment: datetime) -> bool:
    return event.name in webhook.events and webhook.created_at <= moment


def headers(delivery: Delivery, timestamp: int) -> dict[str, str]:
    """Return the headers of an attempt at ``timestamp`` (Unix time)."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"jobbergate-server/{__version__}",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(delivery.webhook.secret, delivery.message_id, timestamp, delivery.payload),
    }


def sign(secret: str, message_id: str, timestamp: int, payload: str) -> str:
    """Return the signature of a message."""
    signed = f"{message_id}.{timestamp}.{payload}"
    digest = hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), signed.encode(), "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
