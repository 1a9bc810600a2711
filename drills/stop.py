"""SIGTERM during requests: the server completes the accepted requests, and exits with status 0."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from random import Random

import orjson

from drills.client import Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run, ready
from drills.uploads import APPLICATIONS, SCRIPTS, application_form, script_text

UPLOADS = 8
RENDERINGS = 4
PARTS = 20
PAUSE = 0.2
"""Seconds between two parts of an upload. An upload outlasts the listening socket after SIGTERM."""
LATEST = 0.3
"""Seconds until SIGTERM, at most."""
SEED = 4
LONGEST = 30
"""Seconds until a server must end."""
BOUNDARY = "a-boundary-of-this-drill"
HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="job_script_file"; filename="job.sh"\r\n'
    "Content-Type: text/plain\r\n\r\n"
)
TAIL = f"\r\n--{BOUNDARY}--\r\n"
SLOW = "{% for _ in range(5000) %}{% for _ in range(1000) %}{% endfor %}{% endfor %}"
"""A template that takes a few tenths of a second."""
PRINTED = 10


class Body:
    """A body in parts. The first part follows the response 100 of the server (RFC 9110, section 10.1.1)."""

    def __init__(self, *parts: bytes, pause: float = 0) -> None:
        self.is_accepted = asyncio.Event()
        self._parts = parts
        self._pause = pause

    async def sent(self) -> AsyncIterator[bytes]:
        """Yield the parts, with pauses between them."""
        self.is_accepted.set()
        for part in self._parts:
            yield part
            await asyncio.sleep(self._pause)


async def run(run: Run, rounds: int) -> list[Figure]:
    """Stop servers with one and with two workers in turn, by a signal to the first process or to all processes."""
    random = Random(SEED)  # noqa: S311 - times, not secrets
    answers: list[Answer] = []
    statuses: list[int] = []
    seconds: list[float] = []
    async with run.installation("stop") as installation:
        for number in range(rounds):
            with installation.start(JOBBERGATE_SERVER__WORKERS=str(number % 2 + 1)) as server:
                await ready(server)
                async with installation.client() as client:
                    requests = await under_way(client)
                    await asyncio.sleep(random.uniform(0, LATEST))
                    began = time.monotonic()
                    if number % 4 > 1:  # as systemd and terminals do
                        os.killpg(server.pid, signal.SIGTERM)
                    statuses.append(await asyncio.to_thread(server.stop))
                    seconds.append(time.monotonic() - began)
                    answers += await asyncio.gather(*requests)
    wrong = [answer for answer in answers if not answer.is_good]
    for answer in wrong[:PRINTED]:
        print_progress(f"  {answer}")
    return [
        Figure("accepted requests with a 2xx response", len(answers) - len(wrong), len(answers), at_least=True),
        Figure("servers with an exit status other than 0", sum(status != 0 for status in statuses)),
        Figure("longest time until a server ended", max(seconds), LONGEST, "s"),
    ]


async def under_way(client: Client) -> list[asyncio.Task[Answer]]:
    """Send slow requests, and return them once the server has accepted all of them."""
    application_id = (await client.post(APPLICATIONS, {"application_name": "Slow"})).json["id"]
    await client.post(f"{APPLICATIONS}/{application_id}/upload", data=application_form("slow", SLOW))
    rendering = orjson.dumps({"job_script_name": "Flow", "application_id": application_id})
    bodies = []
    requests = []
    for number in range(UPLOADS + RENDERINGS):
        if number < RENDERINGS:
            path, kind, body = SCRIPTS, "application/json", Body(rendering)
        else:
            script_id = (await client.post(SCRIPTS, {"job_script_name": "Flow"})).json["id"]
            path, kind = f"{SCRIPTS}/{script_id}/upload", f"multipart/form-data; boundary={BOUNDARY}"
            parts = (script_text(str(part)).encode() for part in range(PARTS))
            body = Body(HEAD.encode(), *parts, TAIL.encode(), pause=PAUSE)
        bodies.append(body)
        headers = {"Content-Type": kind}
        asked = client.ask("POST", path, data=body.sent(), headers=headers, expect100=True)
        requests.append(asyncio.create_task(asked))
    async with asyncio.timeout(LONGEST):
        await asyncio.gather(*(body.is_accepted.wait() for body in bodies))
    return requests


DRILL = Drill(
    "stop",
    f"SIGTERM during {UPLOADS} uploads and {RENDERINGS} renderings, {{rounds}} times, to servers with one and with "
    "two workers. The signal reaches the first process alone, or all processes.",
    run,
    rounds=12,
)
