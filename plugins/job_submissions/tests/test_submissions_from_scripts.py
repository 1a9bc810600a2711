"""Submissions made from job scripts: parameters of the script under those that are sent, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiohttp import FormData

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served

APPS = "/jobbergate/applications"
SCRIPTS = "/jobbergate/job-scripts"
SUBMISSIONS = "/jobbergate/job-submissions"
PROBLEM = "Error extracting execution parameters from job script: "
NO_CLIENT = "Could not find a client_id in the request body or auth token."


class Submit(Protocol):
    """Submits a job script with this main file; the status and the answer."""

    async def __call__(self, main: str, **body: object) -> tuple[int, Any]:
        """``body`` is sent along."""


@pytest.fixture
async def script(call: Call) -> int:
    """The id of a job script without files."""
    return int((await call("POST", SCRIPTS, json={"job_script_name": "the script"}))[1]["id"])


@pytest.fixture
def submit(call: Call, script: int) -> Submit:
    async def submit(main: str, **body: object) -> tuple[int, Any]:
        files = {"main_file_path": "m.sh", "files": {"m.sh": main, "other": "#SBATCH --no-such\n"}}
        assert (await call("PUT", f"{SCRIPTS}/{script}", json={"job_script_files": files}))[0] == 200
        return await call("POST", SUBMISSIONS, json={"job_submission_name": "s", "job_script_id": script, **body})

    return submit


def set_of(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if value is not None}


async def pending(call: Call) -> list[Any]:
    status, listed = await call("GET", f"{SUBMISSIONS}/agent/pending")
    assert status == 200
    return list(listed)


async def test_what_the_script_says_lies_under_what_is_sent(call: Call, submit: Submit) -> None:
    main = "#!/bin/bash\n#SBATCH -n 2 -J rats\n#SBATCH --mem=4G\necho\n"
    sent = {"tasks": 8, "name": None, "qos": "high", "hold": False}
    status, made = await submit(main, execution_parameters=sent)
    assert status == 201
    shown = made["execution_parameters"]
    assert len(shown) == 71
    assert set_of(shown) == {
        "get_user_environment": 1,
        "hold": False,
        "memory_per_node": "4G",
        "qos": "high",
        "tasks": 8,
    }
    assert (await call("GET", f"{SUBMISSIONS}/{made['id']}"))[1]["execution_parameters"] == shown
    stored = {"hold": False, "memory_per_node": "4G", "name": None, "qos": "high", "tasks": 8}
    (listed,) = await pending(call)
    assert list(listed["execution_parameters"].items()) == list(stored.items())


async def test_a_null_hides_what_the_script_says_and_also_a_default(submit: Submit) -> None:
    main = "#SBATCH -n 2\n#SBATCH --get-user-env=0\n"
    _, made = await submit(main)
    assert (made["execution_parameters"]["tasks"], made["execution_parameters"]["get_user_environment"]) == (2, 0)
    _, made = await submit(main, execution_parameters={"tasks": None, "get_user_environment": None})
    assert set_of(made["execution_parameters"]) == {}


async def test_a_script_that_says_nothing_sets_nothing(call: Call, submit: Submit) -> None:
    _, made = await submit("#!/bin/bash\nhostname\n")
    assert set_of(made["execution_parameters"]) == {"get_user_environment": 1}
    assert (await pending(call))[0]["execution_parameters"] == {}


async def test_a_submission_starts_as_created_and_names_its_script(submit: Submit, script: int) -> None:
    status, made = await submit("x", execution_directory="/home//x/./y/", job_submission_description=None)
    assert status == 201
    assert {name: made[name] for name in list(made)[3:12]} == {
        "job_submission_name": "s",
        "job_submission_description": None,
        "job_submission_owner_email": "owner@example.com",
        "job_script_id": script,
        "execution_directory": "/home/x/y",
        "slurm_job_id": None,
        "client_id": "cluster",
        "status": "CREATED",
        "report_message": None,
    }
    assert (made["job_script_name"], made["created_at"]) == ("the script", made["updated_at"])


async def test_a_submission_keeps_what_the_script_said_when_it_was_made(call: Call, submit: Submit) -> None:
    _, first = await submit("#SBATCH -n 1\n")
    _, second = await submit("#SBATCH -n 2\n")
    assert (await call("GET", f"{SUBMISSIONS}/{first['id']}"))[1]["execution_parameters"]["tasks"] == 1
    assert second["execution_parameters"]["tasks"] == 2
    listed = await pending(call)
    assert [it["job_script_files"]["files"]["m.sh"] for it in listed] == ["#SBATCH -n 2\n"] * 2


@pytest.mark.parametrize(
    ("main", "reason"),
    {
        "#!/bin/bash\n#SBATCH --no-such\n": "line 2: Unrecognized SBATCH arguments: --no-such",
        "#SBATCH -n abc\n": "line 1: argument -n/--ntasks: invalid int value: 'abc'",
        "#SBATCH --export=ALL\n": "line 1: Impossible to convert from SBATCH to Slurm REST API: --export",
        "x\ny\n#SBATCH -J 'a\n": "line 3: No closing quotation",
        "#SBATCH --mem-per-cpu=4G\n": "line 1: argument --mem-per-cpu: value is not a valid integer",
    }.items(),
)
async def test_a_script_that_cannot_be_read_is_refused_whatever_is_sent(
    call: Call, submit: Submit, main: str, reason: str
) -> None:
    for sent in ({}, {"tasks": 1, "memory_per_cpu": 1, "name": "x"}):
        assert await submit(main, execution_parameters=sent) == (422, {"detail": PROBLEM + reason})
    assert (await call("GET", SUBMISSIONS))[1]["pagination"]["total"] == 0


async def test_a_script_without_a_main_file_cannot_be_submitted(call: Call, script: int) -> None:
    expected = f"{PROBLEM}One and only one main file is expected for a job-script, found 0"
    sent = {"job_submission_name": "s", "job_script_id": script}
    assert await call("POST", SUBMISSIONS, json=sent) == (422, {"detail": expected})


async def test_a_script_must_exist_and_may_be_anybodys(call: Call, served: Served, submit: Submit, script: int) -> None:
    for missing in (999, 0, -1):
        sent = {"job_submission_name": "s", "job_script_id": missing}
        expected = {"detail": f"Could not find job_scripts instance with id {missing}"}
        assert await call("POST", SUBMISSIONS, json=sent) == (404, expected)
    assert (await submit("x"))[0] == 201
    assert (await call("PUT", f"{SCRIPTS}/{script}", json={"is_archived": True}))[0] == 200
    stranger = served.client_as("jobbergate:job-submissions:edit", email="other@example.com")
    sent = {"job_submission_name": "s", "job_script_id": script}
    status, made = await call("POST", SUBMISSIONS, stranger, json=sent)
    assert (status, made["job_submission_owner_email"]) == (201, "other@example.com")


async def test_the_client_id_is_that_of_the_body_or_of_the_token(call: Call, served: Served, submit: Submit) -> None:
    for sent, client_id in (({}, "cluster"), ({"client_id": None}, "cluster"), ({"client_id": ""}, "cluster")):
        assert (await submit("x", **sent))[1]["client_id"] == client_id
    _, made = await submit("x", client_id="another")
    assert made["client_id"] == "another"
    without = served.client_as(client_id=None)
    sent = {"job_submission_name": "s", "job_script_id": made["job_script_id"]}
    for more in ({}, {"client_id": None}, {"client_id": ""}):
        assert await call("POST", SUBMISSIONS, without, json={**sent, **more}) == (400, {"detail": NO_CLIENT})
    status, made = await call("POST", SUBMISSIONS, without, json={**sent, "client_id": "of the body"})
    assert (status, made["client_id"]) == (201, "of the body")


async def test_what_is_rendered_and_added_is_read_with_the_lines_of_the_script_last(call: Call) -> None:
    _, application = await call("POST", APPS, json={"application_name": "app"})
    form = FormData(quote_fields=False)
    config = "application_config: {tasks: 4}\njobbergate_config: {default_template: m.sh.j2}\n"
    main = "#!/bin/bash\n#SBATCH -J first\n#SBATCH -n {{ data.tasks }}\n"
    for name, text in {"jobbergate.py": "", "jobbergate.yaml": config, "m.sh.j2": main}.items():
        form.add_field("upload_files", text.encode(), filename=name, content_type="text/plain")
    assert (await call("POST", f"{APPS}/{application['id']}/upload", data=form))[0] == 201
    params = ["-J added", "-n 9", "--qos=low"]
    sent = {"job_script_name": "js", "application_id": application["id"], "sbatch_params": params}
    _, script = await call("POST", SCRIPTS, json=sent)
    _, made = await call("POST", SUBMISSIONS, json={"job_submission_name": "s", "job_script_id": script["id"]})
    expected = {"name": "added", "tasks": 4, "qos": "low", "get_user_environment": 1}
    assert set_of(made["execution_parameters"]) == expected
    (listed,) = await pending(call)
    assert (listed["application_name"], listed["job_script_name"]) == ("app", "js")


async def test_a_long_script_is_read_to_its_end(submit: Submit) -> None:
    line = "#SBATCH -n 1"
    status, reply = await submit("\n".join(["echo"] * 100_000 + [line] * 501))
    assert status == 422
    assert reply["detail"].startswith(f"{PROBLEM}line 100501: at most 500 ")
