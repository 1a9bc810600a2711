"""What plugins are told of webhooks."""

from yarl import URL

from jobbergate_server import Event, EventType, emit
from jobbergate_webhooks.models import Webhook

CREATED = EventType("webhook.created", "Somebody has added a webhook.")
UPDATED = EventType(
    "webhook.updated", "The owner of a webhook has changed it, or it was disabled as its URL answered 410."
)
DELETED = EventType("webhook.deleted", "The owner of a webhook has deleted it.")

EVENTS = [CREATED, UPDATED, DELETED]


def tell(kind: EventType, webhook: Webhook) -> None:
    """Tell what was done to the webhook, and where it leads; the rest of its URL may be a secret."""
    data = {
        "id": webhook.id,
        "owner_email": webhook.owner_email,
        "origin": str(URL(webhook.url).origin()),
        "events": webhook.events,
        "is_enabled": webhook.is_enabled,
    }
    emit(Event(kind.name, data))
