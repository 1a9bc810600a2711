"""A hundred thousand requests of all kinds: the memory of the server does not grow in the second half."""

import asyncio
from collections.abc import Sequence
from statistics import median

from drills.client import NOT_FOUND, Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import SCRIPTS, script_form

CLIENTS = 10
TURNS = 10
"""Turns of each client in a round, with ten requests each."""
MARKS = 50
"""Different uploaded files. The server caches small files, up to a limit."""
MOST = 5
"""Percent by which memory may grow in the second half."""
PARTS = 5
NOT_VALID = 422
PRINTED = 10


async def run(run: Run, rounds: int) -> list[Figure]:
    """Measure the memory after each round."""
    held: list[float] = []
    surprises: list[Answer] = []
    async with (
        run.installation("memory") as installation,
        installation.serving() as server,
        installation.client() as client,
    ):
        for _ in range(rounds):
            await asyncio.gather(*(work(client, number, surprises) for number in range(CLIENTS)))
            held.append(server.memory())
    for surprise in surprises[:PRINTED]:
        print_progress(f"  {surprise}")
    return [
        Figure("requests", rounds * CLIENTS * TURNS * 10, rounds, at_least=True),
        Figure("unexpected responses", len(surprises)),
        Figure("growth of memory in the second half", growth(held), MOST, "%"),
    ]


async def work(client: Client, number: int, surprises: list[Answer]) -> None:
    """Add, upload, read, change and delete job scripts. Send requests with responses 404 and 422."""

    async def expect(status: int, method: str, path: str, **options: object) -> Answer:
        answer = await client.ask(method, path, **options)
        if answer.status != status:
            surprises.append(answer)
        return answer

    for turn in range(TURNS):
        mark = f"{(number * TURNS + turn) % MARKS}"
        added = await expect(201, "POST", SCRIPTS, json={"job_script_name": f"Flow {mark}"})
        if not added.is_good:
            continue
        script = f"{SCRIPTS}/{added.json['id']}"
        await expect(200, "POST", f"{script}/upload", data=script_form(mark))
        await expect(200, "GET", script)
        await expect(200, "PUT", script, json={"job_script_description": mark})
        await expect(200, "GET", SCRIPTS, params={"start": 0, "limit": 50})
        await expect(200, "GET", SCRIPTS, params={"search": mark, "sort_field": "job_script_name"})
        await expect(NOT_FOUND, "GET", f"{SCRIPTS}/{10**9}")
        await expect(NOT_VALID, "POST", SCRIPTS, json={})
        await expect(200, "GET", f"{script}/download")
        await expect(204, "DELETE", script)


def growth(held: Sequence[float]) -> float:
    """Return the growth of memory in the second half in percent, from medians of a few rounds."""
    half = held[len(held) // 2 :]
    some = max(1, len(half) // PARTS)
    return (median(half[-some:]) / median(half[:some]) - 1) * 100


DRILL = Drill(
    "memory",
    "{rounds} times 1,000 requests that add, upload, read, list, search, change, download and delete, or get 404 "
    "and 422.",
    run,
    rounds=100,
)
