"""The bars and the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.bars import GROWTH, judge
from benchmarks.report import Machine, Report, table
from benchmarks.rounds import Figures, Key, Results, Start, medians
from benchmarks.scenarios import EXACT, OURS, scenarios

SMALL, LARGE = 10_000, 1_000_000
ROWS = (SMALL, LARGE)
FIGURES = Figures(rate=1000, p50=10, p99=20, slowest=30, cpu=0.5, database_cpu=0.25, memory=90)
ALL = scenarios(SMALL)
RATES = {("list", "fastapi"): 250, ("list", OURS): 1600, ("workers", f"{OURS}, two workers"): 1200}
RATES |= {("workers", f"{EXACT}, two workers"): 1200}


@pytest.fixture
def results() -> Results:
    """Results that keep to every bar."""
    figures = {
        Key(it.name, contender.name, rows): replace(FIGURES, rate=RATES.get((it.name, contender.name), FIGURES.rate))
        for it in ALL
        for contender in it.contenders
        for rows in ROWS
    }
    return Results(figures, Start(0.9, 85))


def missed(results: Results) -> list[str]:
    return [it.promise for it in judge(results, ROWS) if it.kept is False]


def change(results: Results, key: Key, **figures: float) -> None:
    results.figures[key] = replace(results.figures[key], **figures)


def test_all_bars_can_be_kept(results: Results) -> None:
    assert {it.word for it in judge(results, ROWS)} == {"ok"}


def test_a_server_that_is_slow_beside_its_peers_misses_the_bars(results: Results) -> None:
    change(results, Key("list", EXACT, SMALL), rate=849)
    assert missed(results) == [
        "`list`, exact total: rate relative to `limit`",
        "`list`, exact total: rate relative to `fastapi`",
    ]
    change(results, Key("list", EXACT, SMALL), rate=1000, p99=20.1)
    assert missed(results) == ["`list`, exact total: p99 relative to `limit`"]


@pytest.mark.parametrize("scenario", GROWTH)
def test_a_bar_bounds_how_much_slower_a_large_database_is(results: Results, scenario: str) -> None:
    key = Key(scenario, OURS, LARGE)
    change(results, key, p50=GROWTH[scenario] * FIGURES.p50)
    assert missed(results) == []
    change(results, key, p50=GROWTH[scenario] * FIGURES.p50 + 1)
    assert missed(results) == [f"`{scenario}`: p50 on the largest database relative to the smallest"]


def test_memory_is_that_of_the_largest_process_of_this_server(results: Results) -> None:
    change(results, Key("list", "fastapi", LARGE), memory=500)
    assert missed(results) == []
    change(results, Key("render", OURS, LARGE), memory=111)
    assert missed(results) == ["Memory of this server's largest process under load"]


def test_what_was_left_out_is_told_and_not_missed(results: Results) -> None:
    results.start = None
    del results.figures[Key("add", "insert", SMALL)]
    told = {it.promise: it for it in judge(results, [SMALL])}
    assert [it.promise for it in told.values() if it.kept is False] == []
    left_out = {promise for promise, it in told.items() if it.word == "not measured"}
    assert {"Start until ready", "`add`: rate relative to `insert`"} <= left_out
    assert len(left_out) == len(GROWTH) + 2


def test_figures_are_medians() -> None:
    rounds = [replace(FIGURES, rate=rate, p99=rate / 10) for rate in (900, 5000, 1000)]
    assert medians(rounds) == replace(FIGURES, rate=1000, p99=100)
    assert medians([replace(FIGURES, database_cpu=None)]).database_cpu is None


def test_a_table_is_aligned() -> None:
    printed = table(("Server", "p50 ms"), [("ours", "1"), ("a longer name", "100.25")])
    assert printed.splitlines() == [
        "| Server        | p50 ms |",
        "|---------------|-------:|",
        "| ours          |      1 |",
        "| a longer name | 100.25 |",
    ]


def test_the_page_has_the_command_the_scenarios_the_bars_and_the_figures(results: Results) -> None:
    command = 'make bench ARGS="--write docs/benchmarks.md"'
    machine = Machine(processors=2, python="3.11.7", postgresql="15.18")
    page = Report(results, judge(results, ROWS), ALL, ROWS, 5, 2, machine).page(command)
    assert f"```shell\n{command}\n```" in page
    assert "Measured on 2 processors, with Python 3.11.7 and PostgreSQL 15.18." in page
    assert "The server is ready 0.90 s after its start, and then uses 85 MiB." in page
    for scenario in ALL:
        assert f"| `{scenario.name}` | {scenario.sentence} |" in page
        for contender in scenario.contenders:
            assert sum(
                line.startswith(f"| {scenario.name} ") and f"| {contender.name} " in line for line in page.splitlines()
            ) == len(ROWS)
    for verdict in judge(results, ROWS):
        assert f"| {verdict.promise} " in page
    assert "10,000 and 1,000,000 rows" in page
