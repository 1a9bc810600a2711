"""`kill -9` of a worker: the remaining worker serves, and a new worker replaces the killed one."""

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
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import SCRIPTS

CLIENTS = 4
CALM = 0.5
SEED = 10
PRINTED = 10
LONGEST_GAP = 1
SOONEST = 5
"""Seconds: the bounds of the figures."""


class Seen(NamedTuple):
    """A response and its time."""

    moment: float
    answer: Answer


async def run(run: Run, rounds: int) -> list[Figure]:
    """Kill one of two workers, and send requests to the new worker alone."""
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
    for answer in wrong[:PRINTED]:
        print_progress(f"  {answer}")
    gone = sum(it.answer.status == NO_ANSWER for it in seen)
    return [
        Figure("requests with a response", len(seen) - gone, rounds, at_least=True),
        Figure("requests lost with the killed worker", gone, rounds * CLIENTS),
        Figure("responses that are not 2xx", len(wrong)),
        Figure("longest time without a 2xx response", longest_gap(rounds_seen), LONGEST_GAP, "s"),
        Figure("time until the new worker serves alone", max(took), SOONEST, "s"),
        Figure("servers that ended", int(not is_running)),
    ]


async def kill_one(client: Client, server: Server, random: Random, seen: list[Seen]) -> float:
    """Kill a worker, and return the seconds until the new worker responds alone."""
    clients = [asyncio.create_task(send_forever(client, seen)) for _ in range(CLIENTS)]
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


async def send_forever(client: Client, seen: list[Seen]) -> None:
    """Request a list until the task is cancelled."""
    while True:
        answer = await client.get(SCRIPTS)
        seen.append(Seen(time.monotonic(), answer))


def longest_gap(rounds: Sequence[Sequence[Seen]]) -> float:
    """Return the longest time between two 2xx responses of a round."""
    moments = [[it.moment for it in seen if it.answer.is_good] for seen in rounds]
    return max(later - earlier for round_ in moments for earlier, later in pairwise(round_))


DRILL = Drill(
    "workers",
    f"`kill -9` of one of two workers (`server.workers`), {{rounds}} times, during requests of {CLIENTS} clients. "
    "Each request uses a new connection.",
    run,
    rounds=10,
)
