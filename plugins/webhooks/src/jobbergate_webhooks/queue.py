"""The queue of deliveries: claims of due deliveries, and the outcomes of attempts."""

import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from jobbergate_server import transaction, transaction_time
from jobbergate_webhooks.events import UPDATED, emit_event
from jobbergate_webhooks.models import Delivery, Status, Webhook

GONE = 410
JITTER = 0.1
"""The largest random addition to a wait, as a fraction of it. It spreads retries after a common failure."""


async def claim(seconds: float, busy: Collection[int] = ()) -> Delivery | None:
    """Claim the delivery that is due first, with its webhook, for ``seconds``. Return None if no delivery is due.

    Skip deliveries to the webhooks in ``busy``. The delivery of a disabled webhook is returned as failed.
    """
    due = Delivery.filter(next_attempt_at__lte=datetime.now(UTC)).order_by("next_attempt_at", "id")
    if busy:
        due = due.exclude(webhook_id__in=busy)
    if not await due.exists():  # on SQLite, a transaction would block all writers
        return None
    async with transaction():
        delivery = (
            await due.select_for_update(skip_locked=True, of=("webhook_deliveries",)).select_related("webhook").first()
        )
        if delivery is None:
            return None
        if delivery.webhook.is_enabled:
            delivery.attempts += 1
            delivery.next_attempt_at = transaction_time() + timedelta(seconds=seconds)
        else:
            delivery.status, delivery.next_attempt_at, delivery.updated_at = Status.FAILED, None, transaction_time()
            delivery.error = "the webhook is disabled"
        await delivery.save(update_fields=["attempts", "next_attempt_at", "status", "error", "updated_at"])
    return delivery


async def settle(
    delivery: Delivery, response_status: int | None, error: str | None, retry_after: Sequence[float]
) -> None:
    """Store the outcome of an attempt, and the time of the next one, if any."""
    async with transaction():
        status, next_attempt_at = Status.FAILED, None
        if error is None:
            status = Status.DELIVERED
        elif response_status == GONE:
            await _disable(delivery.webhook_id)
        elif delivery.attempts <= len(retry_after):
            wait = retry_after[delivery.attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 - not a secret
            status, next_attempt_at = Status.PENDING, transaction_time() + timedelta(seconds=wait)
        # After an expired claim, the outcome of the newer attempt counts.
        await Delivery.filter(id=delivery.id, attempts=delivery.attempts).update(
            status=status,
            next_attempt_at=next_attempt_at,
            response_status=response_status,
            error=error,
            updated_at=transaction_time(),
        )


async def _disable(webhook_id: int) -> None:
    webhook = await Webhook.select_for_update(no_key=True).get_or_none(id=webhook_id, is_enabled=True)
    if webhook is not None:
        webhook.is_enabled, webhook.updated_at = False, transaction_time()
        await webhook.save(update_fields=["is_enabled", "updated_at"])
        emit_event(UPDATED, webhook)
