"""The command: it measures, prints the figures and verdicts, and writes the page."""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from distributions import install

from benchmarks import data, load
from benchmarks import rows as contents
from benchmarks.bars import judge
from benchmarks.load import LoadError
from benchmarks.postgres import Cluster, cluster
from benchmarks.processes import ServerError
from benchmarks.provider import provider
from benchmarks.report import Machine, Report
from benchmarks.rounds import Run, measure_all
from benchmarks.scenarios import scenarios
from benchmarks.servers import COMMAND, ROOT, Place

START = "start"
SMALLEST = 10_000
"""The number of rows that every scenario needs."""
PERMISSIONS = [
    "jobbergate:job-scripts:view",
    "jobbergate:job-scripts:edit",
    "jobbergate:job-submissions:view",
    "jobbergate:licences:view",
]


class Options(argparse.Namespace):
    """The options of the command line."""

    rounds: int
    seconds: int
    rows: list[int]
    only: list[str]
    write: Path | None


def main() -> int:
    """Measure the scenarios of the options. Return 1 if a bar is missed."""
    options = parse(sys.argv[1:])
    if load.find_wrk() is None:
        sys.stdout.write("skipped: wrk is not installed\n")
        return 0
    chosen = [it for it in scenarios(options.rows[0]) if it.name in options.only]
    try:
        with prepared(options, sqlite="sqlite" in options.only) as (run, machine):
            results = measure_all(run, chosen, start=START in options.only)
    except (LoadError, ServerError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    verdicts = judge(results, options.rows)
    report = Report(results, verdicts, chosen, options.rows, options.rounds, options.seconds, machine)
    sys.stdout.write(report.text())
    if options.write:
        arguments = " ".join(sys.argv[1:])
        options.write.write_text(report.page(f'make bench ARGS="{arguments}"'))
    return int(any(verdict.kept is False for verdict in verdicts))


def parse(arguments: Sequence[str]) -> Options:
    """Parse the options, which default to all rows and scenarios."""
    names = [START, *(it.name for it in scenarios(SMALLEST))]
    parser = argparse.ArgumentParser(prog="make bench", description="Measure this server and its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which each server is measured (5)")
    parser.add_argument("--seconds", type=int, default=2, help="seconds of a round, at least (2)")
    parser.add_argument(
        "--rows", type=_numbers, default=[SMALLEST, 1_000_000], help="sizes of the databases (10000,1000000)"
    )
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, help=f"of {','.join(names)}")
    parser.add_argument("--write", type=Path, help="the page of the documentation to write")
    options = parser.parse_args(arguments, Options())
    if unknown := set(options.only) - set(names):
        parser.error(f"--only: no such scenario: {', '.join(sorted(unknown))}")
    if options.rows[0] < SMALLEST:
        parser.error(f"--rows: must be at least {SMALLEST}")
    return options


def _numbers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


@contextmanager
def prepared(options: Options, *, sqlite: bool) -> Iterator[tuple[Run, Machine]]:
    """Fill the databases, and yield the run. Drop the databases at the end."""
    with tempfile.TemporaryDirectory(prefix="jobbergate-bench-") as name, cluster() as postgres:
        folder = Path(name)
        with provider(folder / "issuer") as provided:
            tokens = {
                agent: provided.issuer.token(
                    email=contents.OWNER, client_id=contents.CLUSTER if agent else None, permissions=PERMISSIONS
                )
                for agent in (False, True)
            }
            place = Place(
                folder,
                provided.issuer.url,
                f"file:///{folder}/files",
                {rows: postgres.database(f"jobbergate_bench_{rows}") for rows in options.rows},
                {rows: f"sqlite:///{folder}/{rows}.db" for rows in options.rows},
                install(ROOT / "examples" / "plugins" / "licences", folder / "plugins"),
            )
            try:
                fill(place, postgres, sqlite=sqlite)
                version = asyncio.run(postgresql_version(postgres.url))
                machine = Machine(len(os.sched_getaffinity(0)), platform.python_version(), version)
                yield Run(place, postgres, options.rows, tokens, options.rounds, options.seconds), machine
            finally:
                for rows in options.rows:
                    asyncio.run(data.drop_database(postgres.url, f"jobbergate_bench_{rows}"))


def fill(place: Place, postgres: Cluster, *, sqlite: bool) -> None:
    """Create and fill the databases, including those of SQLite if ``sqlite`` is set."""
    stored = data.store(place.files)
    for rows, url in place.postgresql.items():
        sys.stderr.write(f"filling {rows:,} rows\n")
        asyncio.run(data.create_database(postgres.url, f"jobbergate_bench_{rows}"))
        data.migrate(COMMAND, url, place.example_path)
        asyncio.run(data.fill_postgresql(url, rows, stored))
    for rows, url in place.sqlite.items() if sqlite else ():
        data.migrate(COMMAND, url, "")
        data.fill_sqlite(url, rows)


async def postgresql_version(url: str) -> str:
    """Return the version of PostgreSQL, without the suffix of the packager."""
    connection = await asyncpg.connect(url)
    try:
        version: str = await connection.fetchval("SHOW server_version")
        return version.partition(" ")[0]
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(main())
