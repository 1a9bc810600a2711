"""A drill, and what it has found: figures, each with the bound that it must keep to."""

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

from benchmarks.bars import Verdict
from drills.installation import Run


class Figure(NamedTuple):
    """Something that was counted or measured, and the most that it may be, or the least."""

    promise: str
    value: float
    bound: float = 0
    unit: str = ""
    at_least: bool = False

    def verdict(self) -> Verdict:
        """Whether the promise was kept; what has no unit is a count."""
        kept = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "≥" if self.at_least else "≤"
        if self.unit:
            return Verdict(self.promise, f"{self.value:.2f} {self.unit}", f"{sign} {self.bound:g} {self.unit}", kept)
        return Verdict(self.promise, f"{self.value:,.0f}", f"{sign} {self.bound:,.0f}", kept)


class Drill(NamedTuple):
    """A way to break something, again and again; ``sentence`` says how, and has ``{rounds}`` where it is repeated."""

    name: str
    sentence: str
    run: Callable[[Run, int], Coroutine[None, None, Sequence[Figure]]]
    rounds: int

    def repeated(self, rounds: int | None) -> "Drill":
        """This drill with as many rounds, if it is one that has more than one."""
        return self if rounds is None or self.rounds == 1 else self._replace(rounds=rounds)

    @property
    def told(self) -> str:
        """The sentence with its number."""
        return self.sentence.format(rounds=f"{self.rounds:,}")


def tell(text: str) -> None:
    """Say what is going on to whoever waits for the table."""
    sys.stderr.write(f"{text}\n")
