"""A drill and its figures, each with a bound."""

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

from benchmarks.bars import Verdict
from drills.installation import Run


class Figure(NamedTuple):
    """A counted or measured value, with its upper or lower bound."""

    promise: str
    value: float
    bound: float = 0
    unit: str = ""
    at_least: bool = False

    def verdict(self) -> Verdict:
        """Compare the value with its bound. A value without unit is a count."""
        kept = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "≥" if self.at_least else "≤"
        if self.unit:
            return Verdict(self.promise, f"{self.value:.2f} {self.unit}", f"{sign} {self.bound:g} {self.unit}", kept)
        return Verdict(self.promise, f"{self.value:,.0f}", f"{sign} {self.bound:,.0f}", kept)


class Drill(NamedTuple):
    """A repeated failure. ``sentence`` describes it, with ``{rounds}`` for the number of repetitions."""

    name: str
    sentence: str
    run: Callable[[Run, int], Coroutine[None, None, Sequence[Figure]]]
    rounds: int

    def repeated(self, rounds: int | None) -> "Drill":
        """Return this drill with so many rounds, unless it has a single round."""
        return self if rounds is None or self.rounds == 1 else self._replace(rounds=rounds)

    @property
    def description(self) -> str:
        """The sentence with the number of rounds."""
        return self.sentence.format(rounds=f"{self.rounds:,}")


def print_progress(text: str) -> None:
    """Print a line about the progress on standard error."""
    sys.stderr.write(f"{text}\n")
