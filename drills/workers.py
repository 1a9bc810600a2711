"""`kill -9` of a worker: requests go on, and another one takes its place."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from benchmarks.processes import Server, children
from benchmarks.servers import TWO_WORKERS
from drills.client import NO_ANSWER, Answer, Client
from drills.drill import Drill, Figure, tell
from drills.installation import Run
from drills.uploads import SCRIPTS

CLIENTS = 4
CALM = 0.5
SEED = 10
TOLD = 10
LONGEST_GAP = 1
SOONEST = 5


class Seen(NamedTuple):
    """An answer, and when it was there."""

    moment: float
    answer: Answer


async def run(run: Run, rounds: int) -> list[Figure]:
    """Kill one of two workers, and let the new one serve alone for a moment."""
    random = Random(SEED)  # noqa: S311 - a choice, not a secret
    rounds_seen: list[list[Seen]] = []
    took: list[float] = []
    async with (
        run.installation("workers", TWO_WORKERS) as installation,
        installation.serving() as server,
        installation.client(reconnects=True) as client,
    ):
        await client.post(SCRIPTS, {"job_script_name": "Flow"})
        for _ in range(rounds):
            rounds_seen.append([])
            took.append(await kill_one(client, server, random, rounds_seen[-1]))
        is_running = server.is_running
    seen = [it for each in rounds_seen for it in each]
    wrong = [it.answer for it in seen if not it.answer.is_good and it.answer.status != NO_ANSWER]
    for answer in wrong[:TOLD]:
        tell(f"  {answer}")
    gone = sum(it.answer.status == NO_ANSWER for it in seen)
    return [
        Figure("requests that were answered", len(seen) - gone, rounds, at_least=True),
        Figure("requests that have gone with the worker that had them", gone, rounds * CLIENTS),
        Figure("answers that are not good", len(wrong)),
        Figure("the longest time without an answer", longest_gap(rounds_seen), LONGEST_GAP, "s"),
        Figure("until the new worker serves alone", max(took), SOONEST, "s"),
        Figure("servers that have ended", int(not is_running)),
    ]


async def kill_one(client: Client, server: Server, random: Random, seen: list[Seen]) -> float:
    """Seconds from the end of a worker until the one in its place answers while no other can."""
    clients = [asyncio.create_task(ask_on(client, seen)) for _ in range(CLIENTS)]
    await asyncio.sleep(CALM)
    workers = children(server.pid)
    victim = random.choice(workers)
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    await asyncio.sleep(CALM)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    (other,) = set(workers) - {victim}
    os.kill(other, signal.SIGSTOP)
    try:
        await client.until_good(SCRIPTS)
    finally:
        os.kill(other, signal.SIGCONT)
    return time.monotonic() - killed


async def ask_on(client: Client, seen: list[Seen]) -> None:
    """Ask for a list, again and again."""
    while True:
        answer = await client.get(SCRIPTS)
        seen.append(Seen(time.monotonic(), answer))


def longest_gap(rounds: Sequence[Sequence[Seen]]) -> float:
    """The longest time between two good answers of a round."""
    moments = [[it.moment for it in seen if it.answer.is_good] for seen in rounds]
    return max(later - earlier for round_ in moments for earlier, later in pairwise(round_))


DRILL = Drill(
    "workers",
    f"`kill -9` of one of two workers (`server.workers`), {{rounds}} times, during requests of {CLIENTS} clients. "
    "Each request uses a new connection.",
    run,
    rounds=10,
)
