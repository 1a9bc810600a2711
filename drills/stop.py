"""SIGTERM while requests are under way: those that were accepted end well, and then the server does."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from random import Random

import orjson

from drills.client import Answer, Client
from drills.drill import Drill, Figure, tell
from drills.installation import Run, ready
from drills.uploads import APPLICATIONS, SCRIPTS, application_form, script_text

UPLOADS = 8
RENDERINGS = 4
PARTS = 20
PAUSE = 0.2
"""Seconds between two parts of an upload, which takes longer than the server listens on after SIGTERM."""
LATEST = 0.3
SEED = 4
LONGEST = 30
BOUNDARY = "a-boundary-of-this-drill"
HEAD = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="job_script_file"; filename="job.sh"\r\n'
    "Content-Type: text/plain\r\n\r\n"
)
TAIL = f"\r\n--{BOUNDARY}--\r\n"
SLOW = "{% for _ in range(5000) %}{% for _ in range(1000) %}{% endfor %}{% endfor %}"
"""A template that takes a few tenths of a second."""
TOLD = 10


class Body:
    """A body that is sent in parts, the first of them when the server has asked for it (RFC 9110, section 10.1.1)."""

    def __init__(self, *parts: bytes, pause: float = 0) -> None:
        self.is_accepted = asyncio.Event()
        self._parts = parts
        self._pause = pause

    async def sent(self) -> AsyncIterator[bytes]:
        """The parts."""
        self.is_accepted.set()
        for part in self._parts:
            yield part
            await asyncio.sleep(self._pause)


async def run(run: Run, rounds: int) -> list[Figure]:
    """Stop one worker and two workers in turn, by themselves and then with all that has come from them."""
    random = Random(SEED)  # noqa: S311 - moments, not secrets
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
                    if number % 4 > 1:  # as systemd does, and a terminal
                        os.killpg(server.pid, signal.SIGTERM)
                    statuses.append(await asyncio.to_thread(server.stop))
                    seconds.append(time.monotonic() - began)
                    answers += await asyncio.gather(*requests)
    wrong = [answer for answer in answers if not answer.is_good]
    for answer in wrong[:TOLD]:
        tell(f"  {answer}")
    return [
        Figure("accepted requests that ended well", len(answers) - len(wrong), len(answers), at_least=True),
        Figure("servers that ended with another status than 0", sum(status != 0 for status in statuses)),
        Figure("the longest time until a server has ended", max(seconds), LONGEST, "s"),
    ]


async def under_way(client: Client) -> list[asyncio.Task[Answer]]:
    """Requests that the server has accepted, all of which take longer than a moment."""
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
