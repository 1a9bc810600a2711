"""Several servers that migrate at their start, concurrently: each migration is applied once."""

import asyncio
from contextlib import ExitStack

import asyncpg

from benchmarks.processes import ServerError
from benchmarks.servers import free_port
from drills.drill import Drill, Figure, print_progress
from drills.installation import Installation, Run, ready

SERVERS = 5
ON_START = {"JOBBERGATE_DATABASE__MIGRATE_ON_START": "true"}
APPLIED = "SELECT app || '.' || name FROM tortoise_migrations ORDER BY 1"


async def run(run: Run, rounds: int) -> list[Figure]:
    """Start servers on an empty database, and compare it with the result of the command `migrate`."""
    async with run.installation("migrated") as installation:
        expected = await applied(installation)
    serving = different = 0
    for number in range(rounds):
        async with run.installation(f"migrate_{number}", ON_START, is_migrated=False) as installation:
            serving += await start_all(installation)
            different += await applied(installation) != expected
    return [
        Figure("servers that became ready", serving, rounds * SERVERS, at_least=True),
        Figure("databases without every migration exactly once", different),
    ]


async def start_all(installation: Installation) -> int:
    """Start all servers at once, and return how many became ready."""
    with ExitStack() as stack:
        servers = [stack.enter_context(installation.start(free_port())) for _ in range(SERVERS)]
        results = await asyncio.gather(*map(ready, servers), return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))
    errors = [it for it in results if isinstance(it, BaseException)]
    for error in errors:
        if not isinstance(error, ServerError):
            raise error
        print_progress(f"  {error}")
    return SERVERS - len(errors)


async def applied(installation: Installation) -> list[str]:
    """Return the applied migrations of the database."""
    connection = await asyncpg.connect(installation.database)
    try:
        return [row[0] for row in await connection.fetch(APPLIED)]
    finally:
        await connection.close()


DRILL = Drill(
    "migrate",
    f"{SERVERS} servers with `database.migrate_on_start` start concurrently on an empty PostgreSQL database, "
    f"{{rounds}} times.",
    run,
    rounds=20,
)
