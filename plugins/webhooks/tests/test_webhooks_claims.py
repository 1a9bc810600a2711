"""Who sends a delivery: one at a time, in however many processes, and somebody in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from commands import printed
from patience import PATIENCE

from jobbergate_server import DATABASE, transaction_time
from jobbergate_webhooks.courier import AT_ONCE_EACH, COURIER
from jobbergate_webhooks.models import Delivery, Status, Webhook
from jobbergate_webhooks.queue import claim, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from receiver import Receiver

    from plugins.webhooks.tests.conftest import MakeSite, Site

TARGET = "http://127.0.0.1:1/"


@pytest.fixture
async def idle(site: Site) -> AsyncIterator[Site]:
    """A server that has stopped to send; the test does it by hand."""
    await site.served.app[COURIER].close()
    with site.served.app[DATABASE].bound():
        yield site


async def test_nobody_gets_what_another_one_has_claimed(idle: Site) -> None:
    await idle.add(TARGET)
    for _ in range(5):
        await idle.happen()
    claimed = await asyncio.gather(*(claim(60) for _ in range(8)))
    found = [delivery.id for delivery in claimed if delivery]
    while delivery := await claim(60):  # who met another one at the same row may have gone without
        found.append(delivery.id)
    assert len(found) == len(set(found)) == 5


async def test_what_is_due_first_comes_first_and_a_busy_webhook_waits(idle: Site) -> None:
    first, second = [await idle.add(TARGET) for _ in range(2)]
    await idle.happen()
    other = await claim(60, [first["id"]])
    assert other is not None
    assert other.webhook_id == second["id"]
    assert await claim(60, [first["id"]]) is None
    own = await claim(60)
    assert own is not None
    assert (own.webhook_id, own.webhook.url, own.attempts) == (first["id"], TARGET, 1)


async def test_what_a_dead_process_has_claimed_comes_back(idle: Site) -> None:
    await idle.add(TARGET)
    await idle.happen()
    claimed = [await claim(0), await claim(60), await claim(60)]
    assert [delivery and delivery.attempts for delivery in claimed] == [1, 2, None]
    assert claimed[0]
    assert claimed[1]
    assert claimed[0].message_id == claimed[1].message_id


async def test_who_comes_too_late_has_no_say(idle: Site) -> None:
    webhook = await idle.add(TARGET)
    await idle.happen()
    slow, quick = await claim(0), await claim(60)
    assert slow
    assert quick
    await settle(quick, 204, None, [])
    await settle(slow, None, "no answer", [])
    (delivery,) = await idle.deliveries(webhook)
    assert (delivery["status"], delivery["attempts"], delivery["error"]) == ("delivered", 2, None)


async def test_what_a_deleted_webhook_was_to_get_is_gone(idle: Site) -> None:
    webhook = await idle.add(TARGET)
    await idle.happen()
    delivery = await claim(60)
    assert delivery
    assert (await idle.call("DELETE", f"/jobbergate/webhooks/{webhook['id']}"))[0] == 204
    assert await Delivery.all().count() == 0
    await settle(delivery, 410, "gone", [])


async def test_servers_of_one_database_share_the_work(make_site: MakeSite, receiver: Receiver) -> None:
    first, second = await make_site(), await make_site()
    webhook = await first.add(receiver.url())
    for number in range(12):
        await (first, second)[number % 2].happen()
    found = await first.wait_for(webhook, lambda found: all(it["status"] == "delivered" for it in found))
    assert [it["attempts"] for it in found] == [1] * 12
    assert Counter(message.id for message in receiver.messages) == Counter(it["message_id"] for it in found)


async def test_the_next_server_sends_what_is_left(make_site: MakeSite, receiver: Receiver) -> None:
    first = await make_site()
    webhook = await first.add(receiver.url())
    await first.served.app[COURIER].close()
    await first.happen("waiting")
    await first.happen("claimed by a process that has died")
    with first.served.app[DATABASE].bound():
        assert await claim(0)
    await first.served.close()
    second = await make_site()
    await receiver.got(2)
    found = await second.wait_for(webhook, lambda found: all(it["status"] == "delivered" for it in found))
    assert sorted(it["attempts"] for it in found) == [1, 2]


async def test_a_slow_receiver_does_not_hold_up_others(site: Site, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await released.wait()
        return web.Response()

    receiver.answer = answer
    slow = await site.add(receiver.url("/slow"))
    for _ in range(3 * AT_ONCE_EACH):
        await site.happen()
    await receiver.got(AT_ONCE_EACH)
    quick = await site.add(receiver.url("/quick"))
    await site.happen()
    assert (await site.outcome(quick))["status"] == "delivered"
    assert [message.path for message in receiver.messages].count("/slow") == AT_ONCE_EACH
    released.set()
    found = await site.wait_for(slow, lambda found: all(it["status"] == "delivered" for it in found))
    assert len(found) == 3 * AT_ONCE_EACH + 1


async def test_what_is_being_sent_ends_before_the_server_does(make_site: MakeSite, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    receiver.answer = answer
    site = await make_site()
    webhook = await site.add(receiver.url())
    await site.happen()
    await receiver.got(1)
    closing = asyncio.create_task(site.served.app[COURIER].close())
    await asyncio.wait([site.served.app[COURIER].task], timeout=PATIENCE)
    assert not closing.done()
    released.set()
    await closing
    (delivery,) = await site.deliveries(webhook)
    assert (delivery["status"], delivery["response_status"]) == ("delivered", 200)


async def test_what_does_not_end_is_left_to_the_next_server(site: Site, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    receiver.answer = answer
    webhook = await site.add(receiver.url())
    await site.happen()
    await receiver.got(1)
    await asyncio.wait_for(site.served.app[COURIER].close(seconds=0.01), PATIENCE)
    (delivery,) = await site.deliveries(webhook)
    assert (delivery["status"], delivery["attempts"]) == ("pending", 1)
    released.set()


async def test_prune_deletes_what_ended_long_ago(idle: Site, database_url: str, tmp_path: Path) -> None:
    webhook = await idle.add(TARGET)
    for _ in range(3):
        await idle.happen()
    old, young, waiting = await Delivery.filter(webhook_id=webhook["id"]).order_by("id")
    ended = {"status": Status.DELIVERED, "next_attempt_at": None}
    month_ago = transaction_time() - timedelta(days=31)
    await Delivery.filter(id=old.id).update(**ended, updated_at=month_ago)
    await Delivery.filter(id=young.id).update(**ended)
    await Delivery.filter(id=waiting.id).update(updated_at=month_ago)

    def pruned(*options: str) -> str:
        return printed(tmp_path, "webhooks", "prune", *options, JOBBERGATE_DATABASE__URL=database_url)

    assert pruned("--days", "30") == "Deliveries deleted: 1\n"
    assert [it["id"] for it in await idle.deliveries(webhook)] == [young.id, waiting.id]
    assert pruned() == "Deliveries deleted: 0\n"
    assert await Webhook.all().count() == 1
