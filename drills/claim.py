"""Many agents of one cluster claim the same submissions: each submission starts once."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

from benchmarks.servers import TWO_WORKERS
from drills.client import Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import SCRIPTS, SUBMISSIONS, script_form

CLUSTER = "cluster"
AGENTS = 20
PENDING = 1_000
PEOPLE = 8
CONFLICT = 409
PRINTED = 10
SLURM = 100_000
"""The distance between the job ids of two agents."""


async def run(run: Run, rounds: int) -> list[Figure]:  # noqa: ARG001 - the drill has one round
    """Report every submission by all agents, to two worker processes."""
    async with (
        run.installation("claim", TWO_WORKERS) as installation,
        installation.serving(),
        AsyncExitStack() as stack,
    ):
        owner = await stack.enter_async_context(installation.client())
        agents = [await stack.enter_async_context(installation.client(client_id=CLUSTER)) for _ in range(AGENTS)]
        ids = await submit(owner)
        answers: dict[int, dict[int, Answer]] = defaultdict(dict)
        await asyncio.gather(*(claim(agent, number, ids, answers) for number, agent in enumerate(agents, start=1)))
        held = {row["id"]: row["slurm_job_id"] for row in await owner.rows(SUBMISSIONS)}
    return figures(answers, held)


async def submit(owner: Client) -> list[int]:
    """Add pending submissions for the cluster, and return their ids."""
    script_id = (await owner.post(SCRIPTS, {"job_script_name": "Flow"})).json["id"]
    await owner.post(f"{SCRIPTS}/{script_id}/upload", data=script_form("flow"))
    body = {"job_submission_name": "Flow", "job_script_id": script_id, "client_id": CLUSTER}

    async def add(number: int) -> list[int]:
        return [(await owner.post(SUBMISSIONS, body)).json["id"] for _ in range(number)]

    return [found for ids in await asyncio.gather(*(add(PENDING // PEOPLE) for _ in range(PEOPLE))) for found in ids]


async def claim(agent: Client, number: int, ids: list[int], answers: dict[int, dict[int, Answer]]) -> None:
    """Report each submission as a job of this agent."""
    for submission_id in ids:
        job = number * SLURM + submission_id
        body = {"new_status": "SUBMITTED", "slurm_job_id": job}
        answers[submission_id][job] = await agent.put(f"{SUBMISSIONS}/agent/{submission_id}", body)


def figures(answers: dict[int, dict[int, Answer]], held: dict[int, int]) -> list[Figure]:
    """Count the submissions with one agent, and the responses to the remaining agents."""
    alone = sum([job for job, it in each.items() if it.is_good] == [held[one]] for one, each in answers.items())
    wrong = [it for each in answers.values() for it in each.values() if not it.is_good and it.status != CONFLICT]
    for answer in wrong[:PRINTED]:
        print_progress(f"  {answer}")
    losers = sum(it.status == CONFLICT for each in answers.values() for it in each.values())
    return [
        Figure("submissions of exactly one agent, which received 2xx", alone, PENDING, at_least=True),
        Figure("responses 409 to the remaining agents", losers, PENDING * (AGENTS - 1), at_least=True),
        Figure("responses that are neither 2xx nor 409", len(wrong)),
    ]


DRILL = Drill(
    "claim",
    f"{AGENTS} agents of one cluster report {PENDING:,} pending submissions as theirs concurrently, to two worker "
    "processes.",
    run,
    rounds=1,
)
