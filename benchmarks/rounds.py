"""The measurement: rounds with every contender, and the medians of the rounds."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks import load
from benchmarks.postgres import Cluster
from benchmarks.processes import Server
from benchmarks.scenarios import Contender, Scenario
from benchmarks.servers import READY, Place

WARM_UP = 1
"""Seconds of load before the first round."""


class Key(NamedTuple):
    """The scenario, contender and number of rows of some figures."""

    scenario: str
    contender: str
    rows: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a scenario: times in milliseconds, the rate in requests per second, memory in MiB."""

    rate: float
    p50: float
    p99: float
    slowest: float
    cpu: float
    database_cpu: float | None
    memory: float


@dataclass(frozen=True, slots=True)
class Start:
    """The start of this server: seconds until it is ready, and its memory in MiB at that time."""

    seconds: float
    memory: float


@dataclass(slots=True)
class Results:
    """All results of a run."""

    figures: dict[Key, Figures] = field(default_factory=dict)
    start: Start | None = None


class Run(NamedTuple):
    """The resources and options of a run."""

    place: Place
    cluster: Cluster
    rows: Sequence[int]
    tokens: Mapping[bool, str]
    """The token of the owner under False, and of the agent under True."""
    rounds: int
    seconds: int

    def measure(self, scenario: Scenario) -> dict[Key, Figures]:
        """Measure all contenders on databases of all sizes, in turn in every round.

        Raises:
            LoadError: A response is an error, or differs from that of the first contender.
        """
        token = self.tokens[scenario.agent]
        with ExitStack() as stack:
            servers: dict[Key, Server] = {}
            durations: dict[Key, int] = {}
            for rows in self.rows:
                answer = b""
                for contender in scenario.contenders:
                    key = Key(scenario.name, contender.name, rows)
                    server = stack.enter_context(self.place.start(contender.kind, rows, size=len(answer)))
                    server.wait_for(READY)
                    durations[key] = self._warmed(server, scenario, token)
                    servers[key] = server
                    answer = self._compared(server, scenario, contender, answer)
            measured: dict[Key, list[Figures]] = {key: [] for key in servers}
            for _ in range(self.rounds):
                for key, server in servers.items():
                    measured[key].append(self._round(server, scenario, token, durations[key]))
        return {key: medians(figures) for key, figures in measured.items()}

    def start(self) -> Start:
        """Start this server once per round, and return the medians."""
        starts = []
        for _ in range(self.rounds):
            began = time.monotonic()
            with self.place.start("ours", self.rows[0]) as server:
                server.wait_for(READY)
                starts.append(Start(time.monotonic() - began, server.memory()))
        return Start(median(it.seconds for it in starts), median(it.memory for it in starts))

    def _warmed(self, server: Server, scenario: Scenario, token: str) -> int:
        """Warm up the server, and return the seconds of its rounds, which depend on its speed."""
        call, connections = scenario.call, scenario.connections
        server.ask(call.first_path, token, method=call.method, body=call.body)
        began = time.monotonic()
        server.ask(call.first_path, token, method=call.method, body=call.body)
        answer = time.monotonic() - began
        warm_up = load.duration(WARM_UP, connections, answer)
        load.run(server.url, call, token, connections=connections, seconds=warm_up)
        return load.duration(self.seconds, connections, answer)

    def _compared(self, server: Server, scenario: Scenario, contender: Contender, first: bytes) -> bytes:
        """Compare the response with that of the first contender where required, and return the latter."""
        if first and not contender.equal:
            return first
        call = scenario.call
        answer = server.ask(call.first_path, self.tokens[scenario.agent], method=call.method, body=call.body)
        if first and json.loads(answer) != json.loads(first):
            raise load.LoadError(f"{scenario.name}: the response of {contender.name} differs from the first")
        return first or answer

    def _round(self, server: Server, scenario: Scenario, token: str, seconds: int) -> Figures:
        cpu, database_cpu = server.cpu(), self.cluster.cpu()
        seen = load.run(server.url, scenario.call, token, connections=scenario.connections, seconds=seconds)
        used = (server.cpu() - cpu) * 1000 / seen.requests
        database_now = self.cluster.cpu()
        database_used = None
        if database_cpu is not None and database_now is not None:
            database_used = (database_now - database_cpu) * 1000 / seen.requests
        rate = seen.requests / seen.seconds
        return Figures(rate, seen.p50, seen.p99, seen.slowest, used, database_used, server.memory())


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    database = [it.database_cpu for it in rounds if it.database_cpu is not None]
    return Figures(
        rate=median(it.rate for it in rounds),
        p50=median(it.p50 for it in rounds),
        p99=median(it.p99 for it in rounds),
        slowest=median(it.slowest for it in rounds),
        cpu=median(it.cpu for it in rounds),
        database_cpu=median(database) if database else None,
        memory=median(it.memory for it in rounds),
    )


def measure_all(run: Run, scenarios: Iterable[Scenario], *, start: bool) -> Results:
    """Measure all scenarios, and print the progress on standard error."""
    results = Results()
    if start:
        sys.stderr.write("start\n")
        results.start = run.start()
    for scenario in scenarios:
        sys.stderr.write(f"{scenario.name}\n")
        results.figures |= run.measure(scenario)
    return results
