"""PostgreSQL crashes and restarts under load: the server responds 503, and recovers without a restart."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from math import inf
from typing import NamedTuple

from benchmarks.postgres import Cluster, started
from drills.client import Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import SCRIPTS, script_form

CLIENTS = 8
CALM = 1.0
"""Seconds of load before and after each crash."""
PAUSE = 0.05
"""Seconds until a client retries a failed request, fewer than in Retry-After."""
SLOWEST = 5
SOONEST = 3
"""Seconds: the bounds of the figures."""
PRINTED = 10


class Seen(NamedTuple):
    """A response and its time."""

    moment: float
    answer: Answer


class Crash(NamedTuple):
    """The times of a crash of PostgreSQL, and of its first accepted connection afterwards."""

    gone: float
    back: float


async def run(run: Run, rounds: int) -> list[Figure]:
    """Crash a PostgreSQL that only this drill uses."""
    with started() as postgres:
        async with (
            replace(run, postgres=postgres).installation("restart") as installation,
            installation.serving() as server,
            installation.client() as client,
        ):
            seen: list[Seen] = []
            acknowledged: set[int] = set()
            crashes = await crash(client, postgres, rounds, seen, acknowledged)
            listed = {row["id"] for row in await client.rows(SCRIPTS)}
            return figures(seen, crashes, len(acknowledged - listed), is_running=server.is_running)


async def crash(
    client: Client, postgres: Cluster, rounds: int, seen: list[Seen], acknowledged: set[int]
) -> list[Crash]:
    """Crash PostgreSQL repeatedly, while clients read and write."""
    assert postgres.restart  # noqa: S101 - for the type checker: this drill started it
    script = f"{SCRIPTS}/{(await client.post(SCRIPTS, {'job_script_name': 'Flow'})).json['id']}"
    await client.post(f"{script}/upload", data=script_form("flow"))
    loaders = [asyncio.create_task(send_forever(client, script, seen, acknowledged)) for _ in range(CLIENTS)]
    crashes = []
    try:
        for _ in range(rounds):
            await asyncio.sleep(CALM)
            gone = time.monotonic()
            await asyncio.to_thread(postgres.restart)
            crashes.append(Crash(gone, time.monotonic()))
            await client.until_good(script)
        await asyncio.sleep(CALM)
    finally:
        for loader in loaders:
            loader.cancel()
        await asyncio.gather(*loaders, return_exceptions=True)
    return crashes


async def send_forever(client: Client, script: str, seen: list[Seen], acknowledged: set[int]) -> None:
    """Read and write until the task is cancelled."""
    for number in count():
        if number % 3 == 0:
            answer = await client.post(SCRIPTS, {"job_script_name": f"Flow {number}"})
            if answer.is_good:
                acknowledged.add(answer.json["id"])
        elif number % 3 == 1:
            answer = await client.get(script)
        else:
            answer = await client.get(SCRIPTS, start=0, limit=5)
        seen.append(Seen(time.monotonic(), answer))
        if not answer.is_good:
            await asyncio.sleep(PAUSE)


def figures(seen: Sequence[Seen], crashes: Sequence[Crash], lost: int, *, is_running: bool) -> list[Figure]:
    """Return the figures from the responses to all clients."""
    wrong = [it.answer for it in seen if not (it.answer.is_good or it.answer.asks_to_retry)]
    for answer in wrong[:PRINTED]:
        print_progress(f"  {answer}")
    good = [it.moment for it in seen if it.answer.is_good]
    refused = [it.moment for it in seen if it.answer.asks_to_retry]
    first = [next((moment for moment in good if moment > crash.back), inf) - crash.back for crash in crashes]
    ends = [*(crash.gone for crash in crashes[1:]), inf]
    last = [
        max((moment for moment in refused if crash.back < moment < end), default=crash.back) - crash.back
        for crash, end in zip(crashes, ends, strict=True)
    ]
    return [
        Figure("responses 503 with Retry-After", len(refused), len(crashes), at_least=True),
        Figure("responses that are neither 2xx nor such a 503", len(wrong)),
        Figure("slowest response", max(it.answer.seconds for it in seen), SLOWEST, "s"),
        Figure("first 2xx response after the restart", max(first), SOONEST, "s"),
        Figure("last 503 after the restart", max(last), SOONEST, "s"),
        Figure("lost acknowledged writes", lost),
        Figure("servers that ended", int(not is_running)),
    ]


DRILL = Drill(
    "restart",
    "`pg_ctl restart --mode immediate`, {rounds} times, while eight clients read and write.",
    run,
    rounds=10,
)
