"""The audit log: who has changed what, and when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import FormData
from commands import printed

from jobbergate_server import DATABASE, EventRecord

if TYPE_CHECKING:
    from pathlib import Path

    from jobbergate_devkit.testing import Client, MakeApp, Served

URL = "/jobbergate/audit-log"
SCRIPTS = "/jobbergate/job-scripts"
WEBHOOKS = "/jobbergate/webhooks"


async def entries(client: Client, **query: str) -> list[dict[str, Any]]:
    async with client.get(URL, params=query) as response:
        assert response.status == 200
        found: list[dict[str, Any]] = (await response.json())["results"]
        return found


async def asked(client: Client, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    async with client.request(method, path, json=body, headers=headers) as response:
        return response.status, await response.json() if response.status not in {204, 304} else None


async def script_with_file(client: Client) -> int:
    """The id of a new job script that has a file."""
    status, script = await asked(client, "POST", SCRIPTS, {"job_script_name": "a"})
    assert status == 201, script
    form = FormData()
    form.add_field("job_script_file", b"#!/bin/sh\n", filename="a.sh", content_type="text/plain")
    async with client.post(f"{SCRIPTS}/{script['id']}/upload", data=form) as response:
        assert response.status == 200
    return int(script["id"])


async def test_every_change_leaves_an_entry_that_tells_who_made_it(served: Served) -> None:
    owner = served.client_as(email="owner@example.com", sub="7f1c", azp="cli")
    number = await script_with_file(owner)
    path = f"{SCRIPTS}/{number}"
    _, script = await asked(owner, "GET", path)
    assert (await asked(owner, "PUT", path, {"job_script_name": "b"}))[0] == 200
    assert (await asked(owner, "DELETE", path))[0] == 204
    found = await entries(owner)
    assert [(it["event"], it["resource_id"], it["data"]["job_script_name"]) for it in found] == [
        ("job_script.created", f"{number}", "a"),
        ("job_script.updated", f"{number}", "a"),
        ("job_script.updated", f"{number}", "b"),
        ("job_script.deleted", f"{number}", "b"),
    ]
    assert {(it["subject"], it["email"], it["client_id"]) for it in found} == {("7f1c", "owner@example.com", "cli")}
    assert found[0]["created_at"] == script["created_at"]
    assert found[0]["data"] == {"owner_email": "owner@example.com", "job_script_name": "a", "application_id": None}


async def test_an_entry_of_a_webhook_tells_where_it_leads_and_no_secret(api: Client) -> None:
    url = "https://hooks.example.com/services/T0/secret?token=secret"
    body = {"url": url, "events": ["webhook.updated"]}
    status, webhook = await asked(api, "POST", WEBHOOKS, body)
    assert status == 201, webhook
    path = f"{WEBHOOKS}/{webhook['id']}"
    assert (await asked(api, "PUT", path, {"is_enabled": False}))[0] == 200
    assert (await asked(api, "DELETE", path))[0] == 204
    found = await entries(api)
    told = {"owner_email": "owner@example.com", "origin": "https://hooks.example.com", "events": ["webhook.updated"]}
    assert [(it["event"], it["resource_id"], it["data"]) for it in found] == [
        ("webhook.created", f"{webhook['id']}", {**told, "is_enabled": True}),
        ("webhook.updated", f"{webhook['id']}", {**told, "is_enabled": False}),
        ("webhook.deleted", f"{webhook['id']}", {**told, "is_enabled": False}),
    ]
    assert "secret" not in str(found)


async def test_what_an_agent_reports_is_its_own_deed(served: Served) -> None:
    owner, agent = served.client_as(), served.client_as(email=None, sub="agent", azp="cluster")
    script = await script_with_file(owner)
    body = {"job_submission_name": "a", "job_script_id": script, "client_id": "cluster"}
    status, submission = await asked(owner, "POST", "/jobbergate/job-submissions", body)
    assert status == 201, submission
    report = {"new_status": "REJECTED", "report_message": "no such partition"}
    assert (await asked(agent, "PUT", f"/jobbergate/job-submissions/agent/{submission['id']}", report))[0] == 200
    found = await entries(owner, event="job_submission.rejected")
    assert [(it["subject"], it["email"], it["client_id"]) for it in found] == [("agent", None, "cluster")]
    assert found[0]["resource_id"] == str(submission["id"])


async def test_what_is_not_done_leaves_no_entry(api: Client, served: Served) -> None:
    stranger = served.client_as(email="stranger@example.com")
    _, script = await asked(api, "POST", SCRIPTS, {"job_script_name": "a"})
    path = f"{SCRIPTS}/{script['id']}"
    assert (await asked(api, "POST", SCRIPTS, {"job_script_name": None}))[0] == 422
    assert (await asked(stranger, "PUT", path, {"job_script_name": "b"}))[0] == 403
    assert (await asked(api, "DELETE", path, **{"If-Match": '"other"'}))[0] == 412
    assert [it["event"] for it in await entries(api)] == ["job_script.created"]


async def test_a_repeat_leaves_no_second_entry(api: Client) -> None:
    for _ in range(2):
        await asked(api, "POST", SCRIPTS, {"job_script_name": "a"}, **{"Idempotency-Key": "1"})
    assert len(await entries(api)) == 1


async def test_many_changes_at_once_leave_an_entry_each(api: Client) -> None:
    rows = await asyncio.gather(*(asked(api, "POST", SCRIPTS, {"job_script_name": f"{n}"}) for n in range(20)))
    ids = {str(row["id"]): row["job_script_name"] for _, row in rows}
    found = await entries(api, start="0", limit="50")
    assert {it["resource_id"]: it["data"]["job_script_name"] for it in found} == ids
    assert len(found) == 20


async def test_an_owner_with_a_webhook_has_both_the_delivery_and_the_entry(make_app: MakeApp) -> None:
    settings = {"plugins": {"webhooks": {"allowed_networks": ["127.0.0.0/8"]}}}
    api = (await make_app(settings=settings)).client_as()
    webhook = {"url": "http://127.0.0.1:9/", "events": ["job_script.created"]}
    assert (await asked(api, "POST", "/jobbergate/webhooks", webhook))[0] == 201
    assert (await asked(api, "POST", SCRIPTS, {"job_script_name": "a"}))[0] == 201
    async with asyncio.timeout(60):
        while not (deliveries := (await asked(api, "GET", "/jobbergate/webhooks/1/deliveries"))[1]["results"]):  # noqa: ASYNC110 - it asks another program
            await asyncio.sleep(0.01)
    assert [it["event"] for it in deliveries] == ["job_script.created"]
    found = [(it["event"], it["resource_id"]) for it in await entries(api)]
    assert found == [("webhook.created", "1"), ("job_script.created", "1")]


async def test_the_list_can_be_filtered(api: Client, served: Served) -> None:
    other = served.client_as(email="other@example.com")
    for client in (api, other):
        await asked(client, "POST", SCRIPTS, {"job_script_name": "a"})
    await asked(other, "DELETE", f"{SCRIPTS}/2")
    for query, count in (
        ({"event": "job_script.created"}, 2),
        ({"resource_id": "2"}, 2),
        ({"email": "owner@example.com"}, 1),
        ({"search": "deleted"}, 1),
        ({"event": "job_script.created", "email": "other@example.com"}, 1),
    ):
        assert len(await entries(api, **query)) == count


async def test_the_log_is_for_those_who_may_read_it_and_nobody_changes_it(api: Client, served: Served) -> None:
    await asked(api, "POST", SCRIPTS, {"job_script_name": "a"})
    assert (await asked(served.client_as("jobbergate:job-scripts:view"), "GET", URL))[0] == 403
    assert (await asked(served.client(), "GET", URL))[0] == 401
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await asked(api, method, URL))[0] == 405
        assert (await asked(api, method, f"{URL}/1"))[0] == 404
    assert len(await entries(served.client_as("jobbergate:audit-log:view", email="auditor@example.com"))) == 1


async def test_entries_are_deleted_by_a_command_alone(
    served: Served, api: Client, database_url: str, tmp_path: Path
) -> None:
    for name in ("old", "new"):
        await asked(api, "POST", SCRIPTS, {"job_script_name": name})
    with served.app[DATABASE].bound():
        await EventRecord.filter(subject_id="1").update(created_at=datetime.now(UTC) - timedelta(days=31))
    command = ("audit-log", "prune", "--days", "30")
    assert printed(tmp_path, *command, JOBBERGATE_DATABASE__URL=database_url) == "Entries deleted: 1\n"
    assert [it["resource_id"] for it in await entries(api)] == ["2"]


@pytest.mark.database("postgresql")
async def test_a_new_row_and_its_entry_are_committed_together(served: Served, api: Client) -> None:
    await asked(api, "POST", SCRIPTS, {"job_script_name": "a"})
    client = served.app[DATABASE].client
    query = "SELECT script.xmin = entry.xmin AS together FROM job_scripts AS script, events AS entry"
    assert [row["together"] for row in await client.execute_query_dict(query)] == [True]
