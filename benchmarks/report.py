"""The report of a run: the figures, the bars, and the page of the documentation with both."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.bars import NOTHING, TIMES, Verdict
from benchmarks.rounds import Key, Results
from benchmarks.scenarios import Scenario

HEAD = (
    "Scenario",
    "Rows",
    "Server",
    "Requests/s",
    "Relative to the first",
    "p50 ms",
    "p99 ms",
    "Slowest ms",
    "CPU ms",
    "PostgreSQL CPU ms",
    "Memory MiB",
)
LEFT = {"Scenario", "Server", "Bar", "Verdict", "Drill", "Promise"}

PAGE = """\
# Benchmarks

The speed of this server beside peers that do the same work. The measuring command writes this page:

```shell
{command}
```

`make bench` without arguments measures all scenarios and prints the tables below. Its exit status is 1 when a bar is
missed. `ARGS="--only list,add"` measures some of the scenarios. The command requires
[wrk](https://github.com/wg/wrk). It uses the first available of three PostgreSQL servers. The
order is: `JOBBERGATE_TEST_POSTGRES_URL`, the machine's own (`initdb` on the `PATH`), the server of the tests.

## Method

Each server runs as one process, on uvloop, with the same rows in the same PostgreSQL. PostgreSQL has its default
settings, with durable commits. All servers run on one machine, beside wrk and PostgreSQL. After a warm-up, the command
measures every scenario in {rounds} rounds of {seconds} s or longer. Each server has its turn in each round. A figure is
the median of the rounds. CPU time is that of one request. An error response ends the run.

| Server | |
|---|---|
| `this server` | `jobbergate-server serve` with its default settings and all bundled plugins. |
| `this server, exact total` | The same with `limits.total_max_age = 0`: the server counts the rows for each response. |
| `limit` | aiohttp and asyncpg alone: PostgreSQL creates the JSON and counts the rows for every response. |
| `fastapi` | FastAPI, SQLAlchemy 2, asyncpg and a pydantic model, in uvicorn with httptools. |
| `constant` | aiohttp with a precomputed response of the same size. |
| `insert` | aiohttp and asyncpg alone: one `INSERT … RETURNING`, which creates the JSON. |

All except `constant` verify the same token, and cache it. `limit` and `fastapi` return the same response as this
server. The command checks this before it measures.

| Scenario | |
|---|---|
{scenarios}

The tables of job scripts and job submissions have {rows} rows.

## Bars

{bars}

The bars relative to a peer apply to the smallest number of rows. A bar without a measurement belongs to a skipped
scenario or number of rows.

## Figures

{machine}

{start}

{figures}
"""


class Machine(NamedTuple):
    """The machine of a run."""

    processors: int
    python: str
    postgresql: str

    @property
    def sentence(self) -> str:
        """A sentence about the machine."""
        return f"Measured on {self.processors} processors, with Python {self.python} and PostgreSQL {self.postgresql}."


class Report(NamedTuple):
    """A run: its results and its options."""

    results: Results
    verdicts: Sequence[Verdict]
    scenarios: Sequence[Scenario]
    rows: Sequence[int]
    rounds: int
    seconds: int
    machine: Machine

    def text(self) -> str:
        """Return the report for a terminal."""
        return f"{self.machine.sentence}\n\n{self._start()}\n\n{self._figures()}\n\n{self._bars()}\n"

    def page(self, command: str) -> str:
        """Return the page of the documentation. It names ``command`` as its source."""
        return PAGE.format(
            command=command,
            rounds=self.rounds,
            seconds=self.seconds,
            rows=" and ".join(f"{rows:,}" for rows in self.rows),
            scenarios="\n".join(f"| `{it.name}` | {it.sentence} |" for it in self.scenarios),
            bars=self._bars(),
            machine=self.machine.sentence,
            start=self._start(),
            figures=self._figures(),
        )

    def _start(self) -> str:
        start = self.results.start
        if start is None:
            return "The start was not measured."
        return f"The server is ready {start.seconds:.2f} s after its start, and then uses {start.memory:.0f} MiB."

    def _figures(self) -> str:
        return table(HEAD, self._rows())

    def _bars(self) -> str:
        return table(
            ("Bar", "Figure", "Bound", "Verdict"), ((it.promise, it.figure, it.bound, it.word) for it in self.verdicts)
        )

    def _rows(self) -> Iterator[Sequence[str]]:
        for scenario in self.scenarios:
            for rows in self.rows:
                first = None
                for contender in scenario.contenders:
                    found = self.results.figures.get(Key(scenario.name, contender.name, rows))
                    if found is None:
                        continue
                    first = first or found.rate
                    yield (
                        scenario.name,
                        f"{rows:,}",
                        contender.name,
                        f"{found.rate:,.0f}",
                        f"{found.rate / first:.2f} {TIMES}",
                        f"{found.p50:.2f}",
                        f"{found.p99:.2f}",
                        f"{found.slowest:.1f}",
                        f"{found.cpu:.3f}",
                        NOTHING if found.database_cpu is None else f"{found.database_cpu:.3f}",
                        f"{found.memory:.0f}",
                    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown with aligned columns, which is readable as text."""
    body = [list(row) for row in rows]
    widths = [max(len(row[place]) for row in [list(head), *body]) for place in range(len(head))]
    left = [name in LEFT for name in head]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(cells, widths, left, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (width + 2) if is_left else "-" * (width + 1) + ":" for width, is_left in zip(widths, left, strict=True)
    )
    return "\n".join([line(head), f"|{rule}|", *map(line, body)])
