"""Agents: what they are given to start, what they report, who wins a race, and that no bad row holds up a queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, cast

import pytest
from patience import PATIENCE

from jobbergate_server import Event, hookimpl
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from conftest import Call
    from jobbergate_devkit.testing import Client, MakeApp, Served

SCRIPTS = "/jobbergate/job-scripts"
SUBMISSIONS = "/jobbergate/job-submissions"
AGENT = f"{SUBMISSIONS}/agent"
NO_CLIENT = "Access token does not contain a `client_id`. Cannot "
FINISHED = ("COMPLETED", "FAILED", "REJECTED")


class Watcher:
    """A plugin that hears of rejections."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Event] = asyncio.Queue()

    @hookimpl
    def on_event(self, event: Event) -> None:
        """Remember it."""
        if event.name == "job_submission.rejected":
            self.heard.put_nowait(event)

    async def next(self, count: int) -> list[dict[str, Any]]:
        """What the next events tell, when there are no others."""
        events = [await asyncio.wait_for(self.heard.get(), PATIENCE) for _ in range(count)]
        assert self.heard.empty()
        return [{name: event.data[name] for name in ("id", "owner_email", "report_message")} for event in events]


class Submit(Protocol):
    """Adds a submission of a job script with a file; its id."""

    async def __call__(self, **body: object) -> int:
        """``body`` is sent along."""


@pytest.fixture
async def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def served(make_app: MakeApp, watcher: Watcher) -> Served:
    """A server with a watcher."""
    return await make_app(plugins=[*discover(), Plugin("watcher", cast("ModuleType", watcher), "watcher", "1.0")])


@pytest.fixture
def submit(call: Call) -> Submit:
    async def submit(**body: object) -> int:
        if "job_script_id" not in body:
            body["job_script_id"] = await add_script(call)
        status, made = await call("POST", SUBMISSIONS, json={"job_submission_name": "s", **body})
        assert status == 201, made
        return int(made["id"])

    return submit


async def add_script(call: Call, main: str = "#!/bin/bash\n", **body: object) -> int:
    _, script = await call("POST", SCRIPTS, json={"job_script_name": "js", **body})
    files = {"main_file_path": "m.sh", "files": {"z": "", "m.sh": main, "a": ""}}
    assert (await call("PUT", f"{SCRIPTS}/{script['id']}", json={"job_script_files": files}))[0] == 200
    return int(script["id"])


async def pending(call: Call, client: Client | None = None) -> list[Any]:
    status, listed = await call("GET", f"{AGENT}/pending", client)
    assert status == 200, listed
    return list(listed)


async def active(call: Call, client: Client | None = None) -> list[Any]:
    status, listed = await call("GET", f"{AGENT}/active", client)
    assert status == 200
    return list(listed)


async def report(call: Call, submission: int, new_status: str, **body: object) -> tuple[int, Any]:
    return await call("PUT", f"{AGENT}/{submission}", json={"new_status": new_status, **body})


async def row(call: Call, submission: int) -> dict[str, Any]:
    status, body = await call("GET", f"{SUBMISSIONS}/{submission}")
    assert status == 200
    return dict(body)


async def test_an_agent_is_given_all_that_it_needs_to_start_a_job(call: Call, submit: Submit) -> None:
    script = await add_script(call, "#!/bin/bash\n#SBATCH -n 2\n", job_script_name="the script")
    submission = await submit(job_script_id=script, execution_directory="/x", execution_parameters={"qos": "a"})
    (listed,) = await pending(call)
    expected = {
        "id": submission,
        "job_submission_name": "s",
        "job_submission_owner_email": "owner@example.com",
        "execution_directory": "/x",
        "execution_parameters": {"qos": "a", "tasks": 2},
        "job_script_name": "the script",
        "application_name": "",
        "job_script_files": {
            "main_file_path": "m.sh",
            "files": {"m.sh": "#!/bin/bash\n#SBATCH -n 2\n", "a": "", "z": ""},
        },
    }
    assert listed == expected
    assert list(listed) == list(expected)
    assert list(listed["job_script_files"]["files"]) == ["m.sh", "a", "z"]


async def test_many_agents_at_once_are_each_given_their_own(served: Served, call: Call, submit: Submit) -> None:
    clusters = [f"cluster-{number}" for number in range(9)]
    submissions = {cluster: [await submit(client_id=cluster) for _ in range(2)] for cluster in clusters}
    agents = {cluster: served.client_as(client_id=cluster) for cluster in clusters}
    listed = await asyncio.gather(*(pending(call, agents[cluster]) for cluster in clusters))
    assert dict(zip(clusters, ([it["id"] for it in found] for found in listed), strict=True)) == submissions


async def test_an_agent_sees_the_submissions_of_its_client_id_and_no_others(
    call: Call, served: Served, submit: Submit
) -> None:
    own = [await submit() for _ in range(3)]
    other = await submit(client_id="other")
    stranger = served.client_as("jobbergate:job-submissions:view", email=None, client_id="other")
    assert [it["id"] for it in await pending(call)] == own
    assert [it["id"] for it in await pending(call, stranger)] == [other]
    for number, submission in enumerate(own):
        assert (await report(call, submission, "SUBMITTED", slurm_job_id=number))[0] == 200
    assert await pending(call) == []
    assert await active(call) == [
        {"id": submission, "job_submission_name": "s", "slurm_job_id": number} for number, submission in enumerate(own)
    ]
    assert list((await active(call))[0]) == ["id", "job_submission_name", "slurm_job_id"]
    assert await active(call, stranger) == []


async def test_what_is_submitted_without_a_job_id_is_not_active(call: Call, submit: Submit) -> None:
    without, finished = await submit(), await submit()
    assert (await report(call, without, "SUBMITTED"))[0] == 200
    assert (await report(call, finished, "COMPLETED", slurm_job_id=1))[0] == 200
    assert await active(call) == []
    assert await pending(call) == []
    assert (await report(call, without, "SUBMITTED", slurm_job_id=0))[0] == 200
    assert [it["slurm_job_id"] for it in await active(call)] == [0]


async def test_a_token_without_a_client_id_is_no_agents(call: Call, served: Served, submit: Submit) -> None:
    submission = await submit()
    for claim in (None, ""):
        client = served.client_as(client_id=claim)
        fetching = {"detail": f"{NO_CLIENT}fetch pending submissions"}
        assert await call("GET", f"{AGENT}/pending", client) == (400, fetching)
        assert await call("GET", f"{AGENT}/active", client) == (400, fetching)
        sent = {"new_status": "COMPLETED"}
        answer = await call("PUT", f"{AGENT}/{submission}", client, json=sent)
        assert answer == (400, {"detail": f"{NO_CLIENT}update job_submission"})
    assert (await row(call, submission))["status"] == "CREATED"


async def test_an_agent_of_another_client_id_finds_nothing_to_report(
    call: Call, served: Served, submit: Submit
) -> None:
    submission = await submit()
    other = served.client_as(client_id="other")
    for missing in (submission, 999, 0, -1, 2**31):
        expected = {"detail": f"JobSubmission with id={missing} and client_id=other not found."}
        sent = {"new_status": "COMPLETED"}
        assert await call("PUT", f"{AGENT}/{missing}", other, json=sent) == (404, expected)
    assert (await row(call, submission))["status"] == "CREATED"


async def test_a_report_is_written_and_answered_with_the_row(call: Call, served: Served, submit: Submit) -> None:
    submission = await submit()
    before = await row(call, submission)
    agent = served.client_as("jobbergate:job-submissions:edit", email=None)
    sent = {"new_status": "SUBMITTED", "slurm_job_id": 7, "report_message": "on its way"}
    status, after = await call("PUT", f"{AGENT}/{submission}", agent, json=sent)
    changed = {"status": "SUBMITTED", "slurm_job_id": 7, "report_message": "on its way"}
    assert (status, after) == (200, {**before, **changed, "updated_at": after["updated_at"]})
    assert after["updated_at"] > before["updated_at"]
    assert after == await row(call, submission)
    assert (len(after["execution_parameters"]), after["job_script_name"]) == (71, "js")


async def test_what_a_report_leaves_open_stays_as_it_is(call: Call, submit: Submit) -> None:
    submission = await submit()
    await report(call, submission, "SUBMITTED", slurm_job_id=7, report_message="first")
    for body in ({}, {"slurm_job_id": None, "report_message": None}, {"report_message": ""}):
        status, after = await report(call, submission, "UNKNOWN", **body)
        assert (status, after["slurm_job_id"], after["report_message"]) == (200, 7, "first")
    status, after = await report(call, submission, "COMPLETED", slurm_job_id=7, report_message="last")
    assert (status, after["status"], after["report_message"]) == (200, "COMPLETED", "last")


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({}, "new_status", "value_error.missing"),
        ({"new_status": None}, "new_status", "type_error.none.not_allowed"),
        ({"new_status": "RUNNING"}, "new_status", "type_error.enum"),
        ({"new_status": "submitted"}, "new_status", "type_error.enum"),
        ({"new_status": "SUBMITTED", "slurm_job_id": "x"}, "slurm_job_id", "type_error.integer"),
        ({"new_status": "SUBMITTED", "slurm_job_id": 2**31}, "slurm_job_id", "value_error.number.not_le"),
        ({"new_status": "FAILED", "report_message": "x" * 65_537}, "report_message", "value_error.any_str.max_length"),
        ({"new_status": "FAILED", "report_message": "a\0"}, "report_message", "value_error"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_report_that_is_none_changes_nothing(
    call: Call, submit: Submit, body: dict[str, object], loc: str, kind: str
) -> None:
    submission = await submit()
    before = await row(call, submission)
    status, reply = await call("PUT", f"{AGENT}/{submission}", json=body)
    assert (status, [(it["loc"], it["type"]) for it in reply["detail"]]) == (422, [(["body", loc], kind)])
    assert await row(call, submission) == before


@pytest.mark.parametrize("finished", FINISHED)
async def test_a_finished_submission_is_not_moved_any_more(call: Call, submit: Submit, finished: str) -> None:
    submission = await submit()
    body = {"slurm_job_id": 7, "report_message": "done"}
    assert (await report(call, submission, finished, **body))[0] == 200
    before = await row(call, submission)
    for status in ("CREATED", "SUBMITTED", "UNKNOWN", *FINISHED):
        if status != finished:
            expected = {"detail": f"JobSubmission with id={submission} is {finished} and cannot become {status}."}
            assert await report(call, submission, status) == (409, expected)
    for other in ({"slurm_job_id": 8}, {"report_message": "other"}):
        assert (await report(call, submission, finished, **{**body, **other}))[0] == 409
    for same in ({}, body, {"slurm_job_id": 7}, {"report_message": ""}):
        assert await report(call, submission, finished, **same) == (200, before)
    assert await row(call, submission) == before


async def test_the_first_agent_holds_the_job(call: Call, submit: Submit) -> None:
    submission = await submit()
    assert (await report(call, submission, "SUBMITTED", slurm_job_id=7))[0] == 200
    held = await row(call, submission)
    expected = {"detail": f"JobSubmission with id={submission} runs as slurm_job_id=7, not as 8."}
    assert await report(call, submission, "SUBMITTED", slurm_job_id=8) == (409, expected)
    assert await report(call, submission, "COMPLETED", slurm_job_id=8) == (409, expected)
    assert await report(call, submission, "SUBMITTED", slurm_job_id=7) == (200, held)
    assert (await report(call, submission, "UNKNOWN"))[0] == 200
    assert await report(call, submission, "SUBMITTED", slurm_job_id=8) == (409, expected)
    assert (await report(call, submission, "SUBMITTED", slurm_job_id=7))[0] == 200


async def test_a_submission_that_its_owner_puts_back_is_started_once_more(call: Call, submit: Submit) -> None:
    submission = await submit()
    assert (await report(call, submission, "FAILED", slurm_job_id=7))[0] == 200
    assert (await call("PUT", f"{SUBMISSIONS}/{submission}", json={"status": "CREATED"}))[0] == 200
    assert [it["id"] for it in await pending(call)] == [submission]
    assert (await report(call, submission, "SUBMITTED", slurm_job_id=8))[0] == 200
    assert (await report(call, submission, "SUBMITTED", slurm_job_id=7))[0] == 409


async def test_of_many_agents_one_gets_the_job(call: Call, submit: Submit) -> None:
    submission = await submit()
    answers = await asyncio.gather(
        *(report(call, submission, "SUBMITTED", slurm_job_id=number) for number in range(1, 21))
    )
    assert Counter(status for status, _ in answers) == {200: 1, 409: 19}
    winner = next(number for number, (status, _) in enumerate(answers, start=1) if status == 200)
    assert (await row(call, submission))["slurm_job_id"] == winner
    for status, reply in answers:
        held = f"JobSubmission with id={submission} runs as slurm_job_id={winner}, not as "
        assert status == 200 or reply["detail"].startswith(held)


async def test_of_many_ends_one_counts(call: Call, submit: Submit) -> None:
    submission = await submit()
    answers = await asyncio.gather(*(report(call, submission, FINISHED[number % 3]) for number in range(18)))
    assert Counter(status for status, _ in answers) == {200: 6, 409: 12}
    assert {reply["status"] for status, reply in answers if status == 200} == {(await row(call, submission))["status"]}


async def test_an_owner_hears_of_a_rejection_and_its_reason_once(call: Call, submit: Submit, watcher: Watcher) -> None:
    first, silent, owners, last = [await submit() for _ in range(4)]
    answers = await asyncio.gather(*(report(call, first, "REJECTED", report_message="no disk") for _ in range(10)))
    assert {status for status, _ in answers} == {200}
    assert (await report(call, silent, "REJECTED"))[0] == 200
    assert (await report(call, silent, "REJECTED", report_message=""))[0] == 200
    assert (await call("PUT", f"{SUBMISSIONS}/{owners}", json={"status": "REJECTED"}))[0] == 200
    assert (await report(call, last, "REJECTED", report_message="no node"))[0] == 200
    assert await watcher.next(3) == [
        {"id": first, "owner_email": "owner@example.com", "report_message": "no disk"},
        {"id": silent, "owner_email": "owner@example.com", "report_message": None},
        {"id": last, "owner_email": "owner@example.com", "report_message": "no node"},
    ]


async def test_rows_that_cannot_be_started_are_rejected_and_hold_up_no_others(
    call: Call, submit: Submit, watcher: Watcher
) -> None:
    deleted = await add_script(call)
    bad = [await submit(job_script_id=deleted) for _ in range(2)]
    good = [await submit() for _ in range(2)]
    foreign = await submit(job_script_id=deleted, client_id="other")
    assert (await call("DELETE", f"{SCRIPTS}/{deleted}"))[0] == 204
    before = [await row(call, submission) for submission in bad]
    lists = await asyncio.gather(*(pending(call) for _ in range(10)))
    assert all([it["id"] for it in listed] == good for listed in lists)
    message = "The job script of this submission was deleted."
    for submission, then in zip(bad, before, strict=True):
        now = await row(call, submission)
        assert (now["status"], now["report_message"]) == ("REJECTED", message)
        assert now["updated_at"] > then["updated_at"]
    assert (await row(call, foreign))["status"] == "CREATED"
    told = sorted(await watcher.next(2), key=lambda it: int(it["id"]))
    assert told == [{"id": it, "owner_email": "owner@example.com", "report_message": message} for it in bad]


async def test_a_file_that_is_lost_holds_up_no_others_and_costs_no_submission(
    call: Call, submit: Submit, make_app: MakeApp, tmp_path: Path
) -> None:
    script = await add_script(call, "#!/bin/bash\n# is lost\n")
    lost, good = await submit(job_script_id=script), await submit()
    for path in (tmp_path / "files").glob("??/*"):
        if b"is lost" in path.read_bytes():
            path.unlink()
    without_memory = (await make_app(settings={"log": {"level": "CRITICAL"}})).client_as()
    assert [it["id"] for it in await pending(call, without_memory)] == [good]
    assert (await row(call, lost))["status"] == "CREATED"
    assert [it["id"] for it in await pending(call)] == [lost, good]


async def test_a_submission_without_an_application_names_none(call: Call, submit: Submit) -> None:
    for body in ({}, {"execution_parameters": {"tasks": None}}):
        await submit(**body)
    assert [(it["application_name"], it["execution_parameters"]) for it in await pending(call)] == [
        ("", {}),
        ("", {"tasks": None}),
    ]


async def test_a_queue_of_hundreds_is_served_as_a_whole_and_in_its_order(call: Call, submit: Submit) -> None:
    script = await add_script(call)
    made = [await submit(job_script_id=script) for _ in range(300)]
    assert [it["id"] for it in await pending(call)] == made
