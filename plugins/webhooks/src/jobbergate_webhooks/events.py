"""The events of webhooks."""

from yarl import URL

from jobbergate_server import Event, EventType, emit
from jobbergate_webhooks.models import Webhook

CREATED = EventType("webhook.created", "A caller has added a webhook.")
UPDATED = EventType("webhook.updated", "The owner has changed a webhook, or a response 410 has disabled it.")
DELETED = EventType("webhook.deleted", "The owner has deleted a webhook.")

EVENTS = [CREATED, UPDATED, DELETED]


def emit_event(kind: EventType, webhook: Webhook) -> None:
    """Emit an event about the webhook, with the origin of its URL. The rest of the URL may be a secret."""
    data = {
        "id": webhook.id,
        "owner_email": webhook.owner_email,
        "origin": str(URL(webhook.url).origin()),
        "events": webhook.events,
        "is_enabled": webhook.is_enabled,
    }
    emit(Event(kind.name, data))
