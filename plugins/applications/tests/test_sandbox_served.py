"""A server whose callers upload hostile templates."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from workers import children, rendered, until, until_busy, used_ticks

from jobbergate_applications.sandbox import POOL_SIZE, SANDBOX

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Served

CONFIG = "application_config: {}\njobbergate_config: {default_template: main.j2}\n"
CPU = "Limit exceeded: the job needs more than 2 s of CPU time."
BURN = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


async def add_application(call: Call, template: str) -> int:
    _, application = await call("POST", "/jobbergate/applications", json={"application_name": "app"})
    path = f"/jobbergate/applications/{application['id']}/upload/individually"
    parts = {"source_file": "", "config_file": CONFIG, "template_files": template}
    body = "".join(
        f"--b\r\nContent-Disposition: form-data; name={name}; filename=main.j2\r\n\r\n{text}\r\n"
        for name, text in parts.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert await call("PATCH", path, data=body + "--b--", headers=headers) == (204, None)
    return int(application["id"])


async def test_an_application_that_is_deleted_while_it_is_rendered_is_not_found(call: Call) -> None:
    application = await add_application(call, "{% for a in range(99999) %}{% endfor %}" * 40)
    sent = {"job_script_name": "js", "application_id": application}
    await until(lambda: len(children()) == POOL_SIZE)
    before = {pid: used_ticks(pid) for pid in children()}
    rendering = asyncio.create_task(call("POST", "/jobbergate/job-scripts", json=sent))
    await until(lambda: any(used_ticks(pid) >= ticks + 2 for pid, ticks in before.items()))
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    assert (await call("DELETE", f"/jobbergate/applications/{application}"))[0] == 204
    for pid in before:
        os.kill(pid, signal.SIGCONT)
    assert await rendering == (404, {"detail": f"Application with id={application} not found."})
    assert (await call("GET", "/jobbergate/job-scripts"))[1]["results"] == []


async def test_the_server_answers_while_a_hostile_template_burns(call: Call, served: Served) -> None:
    sent = {"job_script_name": "js", "application_id": await add_application(call, BURN)}
    burning = [asyncio.create_task(call("POST", "/jobbergate/job-scripts", json=sent)) for _ in range(POOL_SIZE)]
    for pid in children():
        await until_busy(pid)
    client = served.client()
    for _ in range(5):
        async with client.get("/jobbergate/health") as response:
            assert response.status == 204
    assert (await call("GET", "/jobbergate/applications"))[0] == 200
    assert not any(job.done() for job in burning)
    for status, reply in await asyncio.gather(*burning):
        assert status == 422
        assert reply["detail"] == CPU
    assert len(children()) <= POOL_SIZE
    assert await rendered(served.app[SANDBOX], "x") == "x"
