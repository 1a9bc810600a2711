"""One of two replicas loses its dependencies: the other replica serves, and the first recovers afterwards."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import ClientTimeout

from benchmarks.processes import running
from benchmarks.servers import ROOT, TWO_WORKERS, free_port
from drills.client import Answer, Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Installation, Run
from drills.network import Network, NetworkError, network, relay, to
from drills.replicas import bucket
from drills.restart import Seen
from drills.uploads import SCRIPTS, script_form

HEALTH = "/jobbergate/health"
LENGTHS = (6, 40)
"""Seconds of a cut: short enough for requests to wait, and longer than any request may take."""
CALM = 2
"""Seconds of load before each cut."""
AFTER = 5
"""Seconds of load after each cut."""
PEOPLE = 4
PAUSE = 0.05
"""Seconds until a user retries a failed request."""
PULSE = 0.2
"""Seconds between two health checks."""
PATIENCE = ClientTimeout(total=90)
"""The timeout of a request, far above the allowed time of a response."""
SLOWEST = 30
SLOWEST_HEALTH = 1
SOONEST = 5
"""Seconds: the bounds of the figures."""
PRINTED = 10


@dataclass
class Replica:
    """A server in its own network, with the writes that it has acknowledged."""

    network: Network
    client: Client
    rows: set[int] = field(default_factory=set)
    uploads: set[int] = field(default_factory=set)
    """The rows with uploaded files."""

    async def work(self, seen: list[Seen], end: asyncio.Event) -> None:
        """Add rows, upload files and read, as one user, until the end."""

        async def ask(method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 - the client's options
            answer = await self.client.ask(method, path, timeout=PATIENCE, **options)
            seen.append(Seen(time.monotonic(), answer))
            if not answer.is_good:
                await asyncio.sleep(PAUSE)
            return answer

        while not end.is_set():
            added = await ask("POST", SCRIPTS, json={"job_script_name": "Flow"})
            if added.is_good:
                row = added.json["id"]
                self.rows.add(row)
                if (await ask("POST", f"{SCRIPTS}/{row}/upload", data=script_form(str(row)))).is_good:
                    self.uploads.add(row)
                    await ask("GET", f"{SCRIPTS}/{row}")
            await ask("GET", SCRIPTS, params={"start": 0, "limit": 5})

    async def live(self, health: list[Answer], end: asyncio.Event) -> None:
        """Check the health of the server until the end."""
        while not end.is_set():
            health.append(await self.client.ask("GET", HEALTH, timeout=PATIENCE))
            await asyncio.sleep(PULSE)


class Cut(NamedTuple):
    """The responses before, during and after a cut."""

    back: float
    """The time of the reconnection."""
    seen: Sequence[Seen]
    others: Sequence[Seen]
    """The responses of the connected replica."""
    health: Sequence[Answer]


@asynccontextmanager
async def replica(number: int, installation: Installation, endpoint: str) -> AsyncIterator[Replica]:
    """Run a replica in its own network. ``endpoint`` is the URL of its S3 service."""
    with network(number) as net:
        async with (
            reachable(net, installation, endpoint) as settings,
            installation.serving(free_port(), host=net.inside, prefix=net.prefix, **settings) as server,
            installation.client(url=server.url) as client,
        ):
            yield Replica(net, client)


@asynccontextmanager
async def reachable(net: Network, installation: Installation, endpoint: str) -> AsyncIterator[dict[str, str]]:
    """Relay the dependencies of a server over the link that can be cut, and yield its settings.

    A provider without TLS must be on loopback. Each network has its own loopback, so a relay listens there.
    """
    database, issuer = urlsplit(installation.database), installation.provider.issuer.url
    async with (
        relay(net.here, 0, to(installation.database)) as postgres,
        relay(net.here, 0, to(endpoint)) as store,
        relay(net.here, 0, to(issuer)) as provider,
    ):
        command = [*net.prefix, sys.executable, "-m", "drills.network"]
        command += ["127.0.0.1", str(urlsplit(issuer).port), net.here, str(provider)]
        log = installation.files.with_name(f"{net.name}.log")
        with running(command, issuer, log, {"PYTHONPATH": str(ROOT)}):
            place = f"{database.netloc.rpartition('@')[0]}@{net.here}:{postgres}"
            yield {
                "JOBBERGATE_DATABASE__URL": database._replace(netloc=place, query="").geturl(),
                "AWS_ENDPOINT_URL": f"http://{net.here}:{store}",
                "NO_PROXY": f"{net.here},127.0.0.1",
            }


async def run(run: Run, rounds: int) -> list[Figure]:
    """Disconnect the two replicas in turn."""
    try:
        with network(0):
            pass
    except NetworkError as error:
        print_progress(f"  skipped: {error}")
        return []
    async with (
        bucket(run.folder) as variables,
        run.installation("partition", {**TWO_WORKERS, **variables}) as installation,
        replica(0, installation, variables["AWS_ENDPOINT_URL"]) as one,
        replica(1, installation, variables["AWS_ENDPOINT_URL"]) as other,
    ):
        cuts = []
        for number in range(rounds):
            away, there = (other, one) if number % 2 else (one, other)
            cuts.append(await cut_off(away, there, LENGTHS[number // 2 % 2]))
        differing, lost = await compare(one, other)
    return figures(cuts, differing, lost)


async def cut_off(away: Replica, there: Replica, seconds: int) -> Cut:
    """Disconnect a replica for so many seconds, while users work with both replicas."""
    seen: list[Seen] = []
    others: list[Seen] = []
    health: list[Answer] = []
    end = asyncio.Event()
    async with asyncio.TaskGroup() as people:
        for _ in range(PEOPLE):
            people.create_task(away.work(seen, end))
            people.create_task(there.work(others, end))
        people.create_task(away.live(health, end))
        await asyncio.sleep(CALM)
        away.network.cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            away.network.mend()
        back = time.monotonic()
        await asyncio.sleep(AFTER)
        end.set()
    return Cut(back, seen, others, health)


async def compare(one: Replica, other: Replica) -> tuple[int, int]:
    """Count the rows that differ between the replicas, and the acknowledged writes that one of them lacks."""
    lists = [{row["id"]: row for row in await it.client.rows(SCRIPTS)} for it in (one, other)]
    differing = sum(lists[0].get(row) != lists[1].get(row) for row in lists[0].keys() | lists[1].keys())
    lost = 0
    for writer, reader, listed in ((one, other, lists[1]), (other, one, lists[0])):
        answers = await reader.client.get_all([f"{SCRIPTS}/{row}" for row in writer.uploads])
        lost += len(writer.rows - listed.keys())
        lost += sum(f"# {row}\\n".encode() not in answers[f"{SCRIPTS}/{row}"].body for row in writer.uploads)
    return differing, lost


def figures(cuts: Sequence[Cut], differing: int, lost: int) -> list[Figure]:
    """Return the figures of all cuts."""
    others = [it.answer for cut in cuts for it in cut.others]
    seen = [it.answer for cut in cuts for it in cut.seen]
    health = [it for cut in cuts for it in cut.health]
    ill = [it for it in others if not it.is_good]
    wrong = [it for it in seen if not (it.is_good or it.asks_to_retry)]
    refused = sum(it.asks_to_retry for it in seen)
    dead = [it for it in health if not it.is_good]
    for answer in [*ill, *wrong, *dead][:PRINTED]:
        print_progress(f"  {answer} after {answer.seconds:.1f} s")
    first = [
        min((it.moment for it in cut.seen if it.answer.is_good and it.moment > cut.back), default=inf) - cut.back
        for cut in cuts
    ]
    return [
        Figure("responses of the connected replica", len(others), len(cuts), at_least=True),
        Figure("responses of the connected replica that are not 2xx", len(ill)),
        Figure("responses 503 with Retry-After of the disconnected replica", refused, len(cuts) // 2, at_least=True),
        Figure("its responses that are neither 2xx nor such a 503", len(wrong)),
        Figure("its slowest response", max(it.seconds for it in seen), SLOWEST, "s"),
        Figure("its failed health checks", len(dead)),
        Figure("its slowest health check", max(it.seconds for it in health), SLOWEST_HEALTH, "s"),
        Figure("first 2xx response after its reconnection", max(first), SOONEST, "s"),
        Figure("rows that differ between the replicas", differing),
        Figure("lost acknowledged writes", lost),
    ]


DRILL = Drill(
    "partition",
    "Two replicas with two workers each, on one PostgreSQL database and one bucket, each in its own network "
    f"namespace. One replica loses the network to all its dependencies, {{rounds}} times, for {LENGTHS[0]} and for "
    f"{LENGTHS[1]} seconds. Meanwhile {PEOPLE} users add, upload and read at each replica.",
    run,
    rounds=4,
)
