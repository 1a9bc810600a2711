"""The options of the drills, how their figures are judged, and the page."""

from __future__ import annotations

import pytest

from drills.__main__ import DRILLS, chosen, parse
from drills.drill import Figure
from drills.memory import growth
from drills.report import Result, page, text


def verdict(figure: Figure) -> tuple[str, str, str]:
    it = figure.verdict()
    return it.figure, it.bound, it.word


def test_a_count_is_judged_by_the_most_or_the_least_that_it_may_be() -> None:
    assert verdict(Figure("lost", 0)) == ("0", "≤ 0", "ok")
    assert verdict(Figure("lost", 1)) == ("1", "≤ 0", "missed")
    assert verdict(Figure("written", 19_000, 19_000, at_least=True)) == ("19,000", "≥ 19,000", "ok")
    assert verdict(Figure("written", 18_999, 19_000, at_least=True)) == ("18,999", "≥ 19,000", "missed")


def test_a_measured_figure_has_its_unit() -> None:
    assert verdict(Figure("slowest", 4.999, 5, "s")) == ("5.00 s", "≤ 5 s", "ok")
    assert verdict(Figure("slowest", 5.01, 5, "s")) == ("5.01 s", "≤ 5 s", "missed")


def test_all_drills_are_run_unless_some_are_named() -> None:
    names = [it.name for it in chosen(parse([]))]
    assert names == [it.name for it in DRILLS]
    assert len(set(names)) == len(names)
    assert [it.name for it in chosen(parse(["--only", "restart,kill"]))] == ["kill", "restart"]


def test_the_rounds_are_those_of_every_drill_that_has_some() -> None:
    described = {it.name: it for it in chosen(parse(["--rounds", "7"]))}
    for drill in DRILLS:
        again = described[drill.name]
        assert again.rounds == (7 if drill.rounds > 1 else 1)
        assert ("7 times" in again.description.lower()) is (drill.rounds > 1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--only", "kill,flood,fire"], "make drills: error: --only: no such drill: fire, flood"),
        (["--rounds", "0"], "make drills: error: argument --rounds: must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert capsys.readouterr().err.splitlines()[-1] == reason


def test_memory_is_compared_with_that_half_way() -> None:
    assert growth([50, 80, 100, 100, 100, 100]) == 0
    assert growth([50, 80, 90, 100, 102, 110]) == pytest.approx(10)
    assert growth([100]) == 0


def test_the_page_has_the_command_the_drills_and_what_was_found() -> None:
    drills = chosen(parse(["--rounds", "7"]))
    results = [Result(it, [Figure("lost", place).verdict()]) for place, it in enumerate(drills)]
    assert [it.is_kept for it in results] == [True] + [False] * (len(drills) - 1)
    command = 'make drills ARGS="--write docs/drills.md"'
    written = page(results, command, 600)
    assert f"```shell\n{command}\n```" in written
    assert "in 10 minutes." in written
    for it in drills:
        assert f"| `{it.name}` | {it.description} |" in written
    assert text(results) in written
    assert "| kill      | lost    |      0 |   ≤ 0 | ok      |" in written
    assert "| restart   | lost    |      1 |   ≤ 0 | missed  |" in written
