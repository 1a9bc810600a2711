"""The deliveries that wait: whose turn it is, and what became of one."""

import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from jobbergate_server import transaction, transaction_time
from jobbergate_webhooks.events import UPDATED, tell
from jobbergate_webhooks.models import Delivery, Status, Webhook

GONE = 410
JITTER = 0.1
"""The most that a wait is prolonged by, as a part of it: what failed together is not tried again together."""


async def claim(seconds: float, busy: Collection[int] = ()) -> Delivery | None:
    """The delivery that is due first, with its webhook; nobody else gets it for as many ``seconds``.

    Those of the webhooks in ``busy`` have to wait. One whose webhook is disabled is answered as failed already.
    """
    due = Delivery.filter(next_attempt_at__lte=datetime.now(UTC)).order_by("next_attempt_at", "id")
    if busy:
        due = due.exclude(webhook_id__in=busy)
    if not await due.exists():  # on SQLite, a transaction would keep all writers off
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
    """Write down how an attempt has ended, and when the next one is, if any."""
    async with transaction():
        status, next_attempt_at = Status.FAILED, None
        if error is None:
            status = Status.DELIVERED
        elif response_status == GONE:
            await _disable(delivery.webhook_id)
        elif delivery.attempts <= len(retry_after):
            wait = retry_after[delivery.attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311 - guards nothing
            status, next_attempt_at = Status.PENDING, transaction_time() + timedelta(seconds=wait)
        # Whoever took so long that another one has claimed it has no say any more.
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
        tell(UPDATED, webhook)
