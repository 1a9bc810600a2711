"""The bars: how fast this server has to be, and whether it is."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.rounds import Figures, Key, Results
from benchmarks.scenarios import EXACT, OURS, TWO_WORKERS

TIMES = "x"
NOTHING = "-"
GROWTH = {"list": 2.0, "own": 2.0, "rare": 2.0, "common": 10.0, "deep": 10.0, "pending": 1.2, "get": 1.2}
"""By scenario, how many times as long the usual answer may take on the largest database as on the smallest."""


class Bar(NamedTuple):
    """Something that is promised: a figure, and the bound that it must keep to."""

    promise: str
    figure: Callable[[], float]
    bound: float
    unit: str
    at_least: bool = False


class Verdict(NamedTuple):
    """What became of a promise; ``kept`` is None where it was not measured."""

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
    """The figures of a run by what they are about; a KeyError says that one was not measured."""

    results: Results
    small: int
    large: int

    def of(self, scenario: str, contender: str = OURS) -> Figures:
        """Those on the small database."""
        return self.results.figures[Key(scenario, contender, self.small)]

    def rates(self, scenario: str, contender: str, other: str) -> float:
        """The requests a second of the contender, as a multiple of the other's."""
        return self.of(scenario, contender).rate / self.of(scenario, other).rate

    def growth(self, scenario: str) -> float:
        """The usual time on the large database, as a multiple of that on the small one."""
        if self.small == self.large:
            raise KeyError(self.large)
        return self.results.figures[Key(scenario, OURS, self.large)].p50 / self.of(scenario).p50

    def start(self) -> float:
        """The seconds until this server is ready."""
        if self.results.start is None:
            raise KeyError("start")
        return self.results.start.seconds

    def memory(self) -> float:
        """The MiB of the largest process of this server in any scenario."""
        held = [it.memory for key, it in self.results.figures.items() if key.contender.startswith(OURS)]
        if not held:
            raise KeyError("memory")
        return max(held)


def judge(results: Results, rows: Sequence[int]) -> list[Verdict]:
    """Hold the results against all bars."""
    measured = Measured(results, min(rows), max(rows))
    return [_verdict(bar) for bar in (*_beside_peers(measured), *_growths(measured), *_by_itself(measured))]


def _beside_peers(measured: Measured) -> Iterator[Bar]:
    rates = partial(partial, measured.rates)
    yield Bar("`list`, exact total: rate beside `limit`", rates("list", EXACT, "limit"), 0.85, TIMES, at_least=True)
    yield Bar("`list`, exact total: rate beside `fastapi`", rates("list", EXACT, "fastapi"), 3.5, TIMES, at_least=True)
    yield Bar(
        "`list`, exact total: p99 beside `limit`",
        lambda: measured.of("list", EXACT).p99 / measured.of("list", "limit").p99,
        1.0,
        TIMES,
    )
    yield Bar("`list`: rate beside `limit`", rates("list", OURS, "limit"), 1.5, TIMES, at_least=True)
    yield Bar("`add`: rate beside `insert`", rates("add", OURS, "insert"), 0.6, TIMES, at_least=True)


def _growths(measured: Measured) -> Iterator[Bar]:
    for scenario, times in GROWTH.items():
        promise = f"`{scenario}`: p50 on the largest database beside the smallest"
        yield Bar(promise, partial(measured.growth, scenario), times, TIMES)


def _by_itself(measured: Measured) -> Iterator[Bar]:
    gain = partial(measured.rates, "workers", OURS + TWO_WORKERS, OURS)
    yield Bar("`workers`: rate of two beside one", gain, 1.1, TIMES, at_least=True)
    yield Bar("`render`: rate", lambda: measured.of("render").rate, 150, "a second", at_least=True)
    yield Bar("`render`: slowest answer", lambda: measured.of("render").slowest, 100, "ms")
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
