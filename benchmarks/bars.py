"""The bars: the required speed of this server, and the verdicts."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.rounds import Figures, Key, Results
from benchmarks.scenarios import EXACT, OURS, TWO_WORKERS

TIMES = "x"
NOTHING = "-"
GROWTH = {"list": 2.0, "own": 2.0, "rare": 2.0, "common": 10.0, "deep": 10.0, "pending": 1.2, "get": 1.2}
"""The allowed ratio of p50 on the largest database to p50 on the smallest, by scenario."""


class Bar(NamedTuple):
    """A promise: a figure and its bound."""

    promise: str
    figure: Callable[[], float]
    bound: float
    unit: str
    at_least: bool = False


class Verdict(NamedTuple):
    """The verdict on a promise. ``kept`` is None if it was not measured."""

    promise: str
    figure: str
    bound: str
    kept: bool | None

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.kept is None:
            return "not measured"
        return "ok" if self.kept else "missed"


class Measured(NamedTuple):
    """The figures of a run. Each method raises KeyError if its figure was not measured."""

    results: Results
    small: int
    large: int

    def of(self, scenario: str, contender: str = OURS) -> Figures:
        """Return the figures on the small database."""
        return self.results.figures[Key(scenario, contender, self.small)]

    def rates(self, scenario: str, contender: str, other: str) -> float:
        """Return the ratio of the contender's requests per second to those of ``other``."""
        return self.of(scenario, contender).rate / self.of(scenario, other).rate

    def growth(self, scenario: str) -> float:
        """Return the ratio of p50 on the large database to p50 on the small one."""
        if self.small == self.large:
            raise KeyError(self.large)
        return self.results.figures[Key(scenario, OURS, self.large)].p50 / self.of(scenario).p50

    def start(self) -> float:
        """Return the seconds until this server is ready."""
        if self.results.start is None:
            raise KeyError("start")
        return self.results.start.seconds

    def memory(self) -> float:
        """Return the MiB of the largest process of this server in any scenario."""
        held = [it.memory for key, it in self.results.figures.items() if key.contender.startswith(OURS)]
        if not held:
            raise KeyError("memory")
        return max(held)


def judge(results: Results, rows: Sequence[int]) -> list[Verdict]:
    """Compare the results with all bars."""
    measured = Measured(results, min(rows), max(rows))
    return [_verdict(bar) for bar in (*_beside_peers(measured), *_growths(measured), *_absolute(measured))]


def _beside_peers(measured: Measured) -> Iterator[Bar]:
    rates = partial(partial, measured.rates)
    yield Bar(
        "`list`, exact total: rate relative to `limit`", rates("list", EXACT, "limit"), 0.85, TIMES, at_least=True
    )
    yield Bar(
        "`list`, exact total: rate relative to `fastapi`", rates("list", EXACT, "fastapi"), 3.5, TIMES, at_least=True
    )
    yield Bar(
        "`list`, exact total: p99 relative to `limit`",
        lambda: measured.of("list", EXACT).p99 / measured.of("list", "limit").p99,
        1.0,
        TIMES,
    )
    yield Bar("`list`: rate relative to `limit`", rates("list", OURS, "limit"), 1.5, TIMES, at_least=True)
    yield Bar("`add`: rate relative to `insert`", rates("add", OURS, "insert"), 0.6, TIMES, at_least=True)


def _growths(measured: Measured) -> Iterator[Bar]:
    for scenario, times in GROWTH.items():
        promise = f"`{scenario}`: p50 on the largest database relative to the smallest"
        yield Bar(promise, partial(measured.growth, scenario), times, TIMES)


def _absolute(measured: Measured) -> Iterator[Bar]:
    gain = partial(measured.rates, "workers", OURS + TWO_WORKERS, OURS)
    yield Bar("`workers`: rate of two relative to one", gain, 1.1, TIMES, at_least=True)
    yield Bar("`render`: rate", lambda: measured.of("render").rate, 150, "a second", at_least=True)
    yield Bar("`render`: slowest response", lambda: measured.of("render").slowest, 100, "ms")
    yield Bar("`pending`: p50", lambda: measured.of("pending").p50, 250, "ms")
    yield Bar("Start until ready", measured.start, 1.5, "s")
    yield Bar("Memory of this server's largest process under load", measured.memory, 110, "MiB")


def _verdict(bar: Bar) -> Verdict:
    bound = f"{'≥' if bar.at_least else '≤'} {bar.bound:g} {bar.unit}"
    try:
        figure = bar.figure()
    except KeyError:
        return Verdict(bar.promise, NOTHING, bound, None)
    kept = figure >= bar.bound if bar.at_least else figure <= bar.bound
    return Verdict(bar.promise, f"{figure:.2f} {bar.unit}", bound, kept)
