"""Deliveries: each event of the owner, signed, to where its webhook leads and nowhere else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from patience import PATIENCE
from receiver import LOOPBACK

from jobbergate_server import DATABASE
from jobbergate_webhooks.courier import COURIER
from jobbergate_webhooks.messages import sign
from jobbergate_webhooks.models import Delivery

if TYPE_CHECKING:
    from receiver import Receiver

    from plugins.webhooks.tests.conftest import MakeSite, Site

URL = "/jobbergate/webhooks"
APPLICATIONS, SCRIPTS, SUBMISSIONS = (
    f"/jobbergate/{name}" for name in ("applications", "job-scripts", "job-submissions")
)
CREATED, UPDATED = "job_script.created", "job_script.updated"
REFUSED = "the address is neither public nor in allowed_networks of this server"


def test_the_signature_is_that_of_the_example_of_standard_webhooks() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - that of the example
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_delivery_is_signed_and_says_what_has_happened(site: Site, receiver: Receiver) -> None:
    webhook = await site.add(receiver.url("/hook?for=me"))
    script_id = await site.happen("Flüssigkeit")
    (message,) = await receiver.got(1)
    payload = message.verified(webhook["secret"])
    _, script = await site.call("GET", f"{SCRIPTS}?search=Fl")
    (row,) = script["results"]
    assert payload == {
        "type": CREATED,
        "timestamp": row["created_at"] + "Z",
        "data": {
            "id": script_id,
            "owner_email": "owner@example.com",
            "job_script_name": "Flüssigkeit",
            "application_id": None,
        },
    }
    assert (message.path, message.headers["content-type"]) == ("/hook", "application/json")
    assert message.headers["user-agent"].startswith("jobbergate-server/")
    delivery = await site.outcome(webhook)
    expected = {"event": CREATED, "status": "delivered", "attempts": 1, "response_status": 204, "error": None}
    assert delivery | expected | {"message_id": message.id, "next_attempt_at": None} == delivery


async def test_only_events_that_a_webhook_names_and_that_concern_its_owner_are_delivered(
    site: Site, receiver: Receiver
) -> None:
    stranger = site.served.client_as(email="stranger@example.com")
    created, updated = await site.add(receiver.url("/1")), await site.add(receiver.url("/2"), UPDATED)
    disabled, foreign = await site.add(receiver.url("/3")), await site.add(receiver.url("/4"), client=stranger)
    assert (await site.call("PUT", f"{URL}/{disabled['id']}", json={"is_enabled": False}))[0] == 200
    await site.happen("foreign", stranger)
    await site.happen("own")
    told = {
        message.path: message.verified(webhook["secret"])["data"]["job_script_name"]
        for message in await receiver.got(2)
        for webhook in (created, foreign)
        if message.path == ("/1" if webhook is created else "/4")
    }
    assert told == {"/1": "own", "/4": "foreign"}
    assert [len(await site.deliveries(it)) for it in (created, updated, disabled)] == [1, 0, 0]


async def test_an_event_is_delivered_to_each_webhook_as_a_message_of_its_own(site: Site, receiver: Receiver) -> None:
    webhooks = [await site.add(receiver.url(f"/{number}")) for number in range(3)]
    await site.happen()
    messages = await receiver.got(3)
    assert len({message.id for message in messages}) == 3
    for message in messages:
        message.verified(webhooks[int(message.path[1:])]["secret"])


async def test_what_is_rolled_back_is_not_delivered(site: Site, receiver: Receiver) -> None:
    webhook = await site.add(receiver.url(), CREATED, UPDATED)
    script_id = await site.happen()
    # A job script without files is changed, told of, and found to have none.
    assert (await site.call("PUT", f"{SCRIPTS}/{script_id}", json={"job_script_name": "New"}))[0] == 404
    assert (await site.outcome(webhook))["event"] == CREATED


async def test_a_delivery_is_stored_before_it_is_sent(site: Site, receiver: Receiver) -> None:
    webhook = await site.add(receiver.url())
    await site.served.app[COURIER].close()
    await site.happen()
    (delivery,) = await site.deliveries(webhook)
    assert (delivery["status"], delivery["attempts"]) == ("pending", 0)
    assert delivery["next_attempt_at"] == delivery["created_at"]


async def test_a_delivery_is_tried_again_under_the_same_id_until_it_is_taken(
    make_site: MakeSite, receiver: Receiver
) -> None:
    site = await make_site(retry_after=[0.02, 0.04, 0.06])
    receiver.statuses = [500, 302, 200]
    webhook = await site.add(receiver.url())
    await site.happen()
    messages = await receiver.got(3)
    assert [message.verified(webhook["secret"])["type"] for message in messages] == [CREATED] * 3
    assert len({message.id for message in messages}) == 1
    delivery = await site.outcome(webhook)
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("delivered", 3, 200)


async def test_a_delivery_that_nobody_takes_has_failed_after_the_last_wait(
    make_site: MakeSite, receiver: Receiver
) -> None:
    site = await make_site(retry_after=[0.02, 0.04])
    receiver.statuses = [503]
    webhook = await site.add(receiver.url())
    await site.happen()
    delivery = await site.outcome(webhook)
    expected = {"status": "failed", "attempts": 3, "response_status": 503, "error": "response 503"}
    assert delivery | expected | {"next_attempt_at": None} == delivery
    assert len(receiver.messages) == 3


async def test_the_waits_are_those_of_the_settings(make_site: MakeSite, receiver: Receiver) -> None:
    site = await make_site(retry_after=[3600])
    receiver.statuses = [500]
    webhook = await site.add(receiver.url())
    await site.happen()
    (delivery,) = await site.wait_for(webhook, lambda found: found[0]["response_status"] == 500)
    with site.served.app[DATABASE].bound():
        row = await Delivery.get(id=delivery["id"])
    assert row.next_attempt_at is not None
    assert 3600 <= (row.next_attempt_at - row.updated_at).total_seconds() <= 3960


async def test_a_redirect_is_not_followed(make_site: MakeSite, receiver: Receiver) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": receiver.url("/elsewhere")})

    receiver.answer = answer
    site = await make_site(retry_after=[])
    webhook = await site.add(receiver.url())
    await site.happen()
    assert (await site.outcome(webhook))["error"] == "response 307"
    assert [message.path for message in receiver.messages] == ["/hook"]


async def test_410_disables_the_webhook(site: Site, receiver: Receiver) -> None:
    receiver.statuses = [410]
    webhook = await site.add(receiver.url())
    await site.happen()
    delivery = await site.outcome(webhook)
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("failed", 1, 410)
    assert delivery["error"] == "response 410 Gone: the webhook was disabled"
    assert (await site.call("GET", f"{URL}/{webhook['id']}"))[1]["is_enabled"] is False
    _, log = await site.call("GET", "/jobbergate/audit-log", params={"event": "webhook.updated"})
    told = [(it["resource_id"], it["subject"], it["data"]["is_enabled"]) for it in log["results"]]
    assert told == [(str(webhook["id"]), None, False)]
    await site.happen()
    assert len(await site.deliveries(webhook)) == 1


async def test_what_waits_for_a_webhook_that_is_disabled_has_failed(make_site: MakeSite, receiver: Receiver) -> None:
    receiver.statuses = [500]
    site = await make_site(retry_after=[0.05] * 1000)
    webhook = await site.add(receiver.url())
    await site.happen()
    await receiver.got(1)
    assert (await site.call("PUT", f"{URL}/{webhook['id']}", json={"is_enabled": False}))[0] == 200
    delivery = await site.outcome(webhook)
    assert (delivery["status"], delivery["error"]) == ("failed", "the webhook is disabled")


async def test_what_waits_goes_to_the_new_url(make_site: MakeSite, receiver: Receiver) -> None:
    receiver.statuses = [500, 204]
    site = await make_site(retry_after=[0.05])
    webhook = await site.add("http://127.0.0.1:1/")
    await site.served.app[COURIER].close()
    await site.happen()
    assert (await site.call("PUT", f"{URL}/{webhook['id']}", json={"url": receiver.url("/new")}))[0] == 200
    await make_site(retry_after=[0.05])
    assert [message.path for message in await receiver.got(2)] == ["/new", "/new"]


async def test_an_answer_that_takes_too_long_counts_as_none(make_site: MakeSite, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    receiver.answer = answer
    site = await make_site(retry_after=[], timeout=0.1)
    webhook = await site.add(receiver.url())
    await site.happen()
    delivery = await site.outcome(webhook)
    assert (delivery["response_status"], delivery["error"]) == (None, "no response within 0.1 seconds")
    released.set()


async def test_an_answer_without_an_end_is_not_read(site: Site, receiver: Receiver) -> None:
    cut_off = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 2**16)
        finally:
            cut_off.set()

    receiver.answer = answer
    webhook = await site.add(receiver.url())
    await site.happen()
    assert (await site.outcome(webhook))["status"] == "delivered"
    await asyncio.wait_for(cut_off.wait(), PATIENCE)


async def test_who_does_not_talk_http_or_does_not_listen_is_told_of(make_site: MakeSite) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 \0\xff mail.example.com\r\n\r\n")
        await writer.drain()
        writer.close()

    site = await make_site(retry_after=[])
    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        babbling = await site.add(f"http://127.0.0.1:{port}/")
        secured = await site.add(f"https://127.0.0.1:{port}/")
        await site.happen()
        assert (await site.outcome(babbling))["error"] in {"ClientResponseError", "ClientOSError"}
        assert "SSL" in (await site.outcome(secured))["error"]
    await site.happen()
    found = await site.wait_for(babbling, lambda found: len(found) == 2 and found[1]["status"] != "pending")
    assert "Connect call failed" in found[1]["error"]


@pytest.mark.parametrize("url", ["https://localhost:{port}/", "https://0x7f000001:{port}/"])
async def test_a_name_that_leads_to_a_private_address_is_never_connected_to(make_site: MakeSite, url: str) -> None:
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    async with server:
        url = url.format(port=server.sockets[0].getsockname()[1])
        site = await make_site(networks=[], retry_after=[])
        webhook = await site.add(url)
        await site.happen()
        delivery = await site.outcome(webhook)
        assert (delivery["status"], delivery["response_status"], delivery["error"]) == ("failed", None, REFUSED)
        assert connections == []


async def test_an_address_that_is_allowed_no_more_is_not_connected_to(make_site: MakeSite, receiver: Receiver) -> None:
    first = await make_site()
    webhook = await first.add(receiver.url())
    await first.served.close()
    site = await make_site(networks=[], retry_after=[])
    await site.happen()
    assert (await site.outcome(webhook))["error"] == REFUSED
    assert receiver.messages == []


async def test_a_name_may_lead_to_an_address_that_is_allowed(make_site: MakeSite, receiver: Receiver) -> None:
    site = await make_site(networks=[LOOPBACK])
    webhook = await site.add(f"http://localhost:{receiver.port}/hook")
    await site.happen()
    assert (await site.outcome(webhook))["status"] == "delivered"


async def test_the_server_is_not_ready_when_nothing_is_sent_any_more(site: Site) -> None:
    _, answer = await site.call("GET", "/jobbergate/ready")
    assert answer["checks"]["webhooks"] == "ok"
    await site.served.app[COURIER].close()
    status, answer = await site.call("GET", "/jobbergate/ready")
    assert (status, answer["checks"]["webhooks"]) == (503, "the task that sends deliveries has ended")


async def test_every_event_of_the_bundled_plugins_can_be_delivered(site: Site, receiver: Receiver) -> None:
    _, refusal = await site.call("POST", URL, json={"url": receiver.url(), "events": ["?"]})
    names = [name for name in refusal["detail"][0]["ctx"]["enum_values"] if name.startswith(("application.", "job_"))]
    webhook = await site.add(receiver.url(), *names)

    async def done(method: str, path: str, **body: object) -> Any:  # noqa: ANN401 - any JSON
        status, answer = await site.call(method, path, json=body)
        assert status < 300, answer
        return answer

    application = await done("POST", APPLICATIONS, application_name="Fluid", application_identifier="fluid")
    await done("PUT", f"{APPLICATIONS}/{application['id']}", application_name="Fluids")
    await done("DELETE", f"{APPLICATIONS}?identifier=fluid")
    script = await done("POST", SCRIPTS, job_script_name="Flow")
    files = {"main_file_path": "main.sh", "files": {"main.sh": "#!/bin/bash\n# a secret of the owner\n"}}
    await done("PUT", f"{SCRIPTS}/{script['id']}", job_script_files=files)
    for status, slurm_job_id in {"SUBMITTED": 1, "COMPLETED": 2, "FAILED": 3, "UNKNOWN": 4, "REJECTED": None}.items():
        row = await done("POST", SUBMISSIONS, job_submission_name=status, job_script_id=script["id"])
        report = {"new_status": status, "slurm_job_id": slurm_job_id, "report_message": "So it is."}
        await done("PUT", f"{SUBMISSIONS}/agent/{row['id']}", **report)
        await done("PUT", f"{SUBMISSIONS}/agent/{row['id']}", **report)
    await done("PUT", f"{SUBMISSIONS}/{row['id']}", job_submission_name="Rejected")
    await done("DELETE", f"{SUBMISSIONS}/{row['id']}")
    await done("DELETE", f"{SCRIPTS}/{script['id']}")

    found = await site.wait_for(webhook, lambda found: all(it["status"] == "delivered" for it in found))
    assert sorted({it["event"] for it in found}) == names
    assert len(found) == len(names) + 4  # five submissions were added
    told = {payload["type"]: payload["data"] for payload in (json.loads(it.body) for it in receiver.messages)}
    assert {data["owner_email"] for data in told.values()} == {"owner@example.com"}
    assert told["application.deleted"]["application_name"] == "Fluids"
    assert told["job_submission.completed"] == {
        "id": row["id"] - 3,
        "owner_email": "owner@example.com",
        "job_submission_name": "COMPLETED",
        "job_script_id": script["id"],
        "client_id": "cluster",
        "status": "COMPLETED",
        "slurm_job_id": 2,
        "report_message": "So it is.",
    }
    assert not any(b"a secret" in message.body for message in receiver.messages)
