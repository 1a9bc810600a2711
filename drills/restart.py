"""PostgreSQL crashes and comes back under load: the server says so, and goes on by itself."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from math import inf
from typing import NamedTuple

from benchmarks.postgres import Cluster, started
from drills.client import Answer, Client
from drills.drill import Drill, Figure, tell
from drills.installation import Run
from drills.uploads import SCRIPTS, script_form

CLIENTS = 8
CALM = 1.0
"""Seconds of load before and after each crash."""
PAUSE = 0.05
"""Seconds until a client that was refused tries again; it is asked to wait for longer."""
SLOWEST = 5
SOONEST = 3
TOLD = 10


class Seen(NamedTuple):
    """An answer, and when it was there."""

    moment: float
    answer: Answer


class Crash(NamedTuple):
    """When PostgreSQL was ended, and when it took connections again."""

    gone: float
    back: float


async def run(run: Run, rounds: int) -> list[Figure]:
    """Crash a PostgreSQL of this drill's own."""
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
    """Crash PostgreSQL again and again, while clients read and write."""
    assert postgres.restart  # noqa: S101 - for the type checker: it was started for this drill
    script = f"{SCRIPTS}/{(await client.post(SCRIPTS, {'job_script_name': 'Flow'})).json['id']}"
    await client.post(f"{script}/upload", data=script_form("flow"))
    loaders = [asyncio.create_task(ask_on(client, script, seen, acknowledged)) for _ in range(CLIENTS)]
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


async def ask_on(client: Client, script: str, seen: list[Seen], acknowledged: set[int]) -> None:
    """Read and write, again and again."""
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
    """What the clients have seen."""
    wrong = [it.answer for it in seen if not (it.answer.is_good or it.answer.asks_to_retry)]
    for answer in wrong[:TOLD]:
        tell(f"  {answer}")
    good = [it.moment for it in seen if it.answer.is_good]
    refused = [it.moment for it in seen if it.answer.asks_to_retry]
    first = [next((moment for moment in good if moment > crash.back), inf) - crash.back for crash in crashes]
    ends = [*(crash.gone for crash in crashes[1:]), inf]
    last = [
        max((moment for moment in refused if crash.back < moment < end), default=crash.back) - crash.back
        for crash, end in zip(crashes, ends, strict=True)
    ]
    return [
        Figure("answers 503 with Retry-After", len(refused), len(crashes), at_least=True),
        Figure("answers that are neither good nor such a 503", len(wrong)),
        Figure("the slowest answer", max(it.answer.seconds for it in seen), SLOWEST, "s"),
        Figure("the first good answer after the return", max(first), SOONEST, "s"),
        Figure("the last 503 after the return", max(last), SOONEST, "s"),
        Figure("acknowledged writes that are lost", lost),
        Figure("servers that have ended", int(not is_running)),
    ]


DRILL = Drill(
    "restart",
    "`pg_ctl restart --mode immediate`, {rounds} times, while eight clients read and write.",
    run,
    rounds=10,
)
