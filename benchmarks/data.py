"""The databases of a run, migrated by the command of this server and filled with rows."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from benchmarks import rows as data
from benchmarks.processes import ServerError
from jobbergate_server.files import Files
from jobbergate_server.settings import load_settings, path_of

CONFIG = """\
jobbergate_config:
  default_template: templates/job.sh.j2
  supporting_files:
    - templates/mesh.yaml.j2
  supporting_files_output_name:
    templates/mesh.yaml.j2:
      - mesh.yaml
  output_directory: .
application_config:
  job_name: flow
  partition: compute
  nodes: 4
  tasks: 128
  solver: simple
  steps: 1000
"""
SOURCE = '''\
"""Questions for the values of the templates."""

from jobbergate_cli.subapps.applications.application_base import JobbergateApplicationBase
from jobbergate_cli.subapps.applications.questions import Integer, Text


class JobbergateApplication(JobbergateApplicationBase):
    """A case of fluid dynamics."""

    def mainflow(self, data):
        return [Text("job_name", message="Name"), Integer("steps", message="Steps", default=1000)]
'''
JOB_TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name={{ data.job_name }}
#SBATCH --partition={{ data.partition }}
#SBATCH --nodes={{ data.nodes }}
#SBATCH --ntasks={{ data.tasks }}
module load {{ data.solver }}
{% for part in range(4) %}
srun --exclusive --ntasks={{ data.tasks // 4 }} solver --part {{ part }} --steps {{ data.steps }} mesh.yaml &
{% endfor %}
wait
"""
MESH_TEMPLATE = "name: {{ data.job_name }}\nsteps: {{ data.steps }}\nsolver: {{ data.solver }}\n"
APPLICATION_FILES = (
    ("source", "jobbergate.py", SOURCE),
    ("config", "jobbergate.yaml", CONFIG),
    ("template", "job.sh.j2", JOB_TEMPLATE),
    ("template", "mesh.yaml.j2", MESH_TEMPLATE),
)
SINGLE_FILES = 8
LINES = 40

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = $1
AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


class Contents:
    """The digests of the stored files that rows reference."""

    def __init__(self, url: str) -> None:
        """Open the file store at ``url``."""
        self._files = Files(load_settings(files={"url": url}).files)
        self.application: list[tuple[str, str, str]] = []
        self.single: list[str] = []
        self.triples: list[str] = []

    async def store(self) -> None:
        """Store the files."""
        for kind, name, text in APPLICATION_FILES:
            self.application.append((kind, name, await self._files.put(text.encode())))
        self.single = [await self._put(f"single {number}") for number in range(SINGLE_FILES)]
        self.triples = [await self._put(f"pending {number}") for number in range(3 * data.PENDING)]

    async def _put(self, title: str) -> str:
        lines = (f"srun --label solver --part {number}\n" for number in range(LINES))
        return await self._files.put(f"#!/bin/bash\n# {title}\n{''.join(lines)}".encode())


def migrate(command: str, url: str, path: str) -> None:
    """Create the tables of this server, and of the plugins on ``path``, with the command `migrate`."""
    environment = {**os.environ, "JOBBERGATE_DATABASE__URL": url, "PYTHONPATH": path}
    done = subprocess.run(  # noqa: S603 - the command of this server
        [command, "migrate"], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(f"`jobbergate-server migrate` failed:\n{done.stderr}")


async def create_database(maintenance: str, name: str) -> None:
    """Create the empty database ``name``. Drop that of an earlier run."""
    await drop_database(maintenance, name)
    await _execute(maintenance, f'CREATE DATABASE "{name}"')


async def drop_database(maintenance: str, name: str) -> None:
    """Drop the database ``name`` if it exists."""
    await _execute(maintenance, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fill_postgresql(url: str, rows: int, contents: Contents) -> None:
    """Fill the tables, the large ones with ``rows`` rows, and update the statistics of PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        await _copy(connection, "applications", data.APPLICATION_COLUMNS, data.applications())
        files = [(1, kind, name, digest) for kind, name, digest in contents.application]
        await _copy(connection, "application_files", ("application_id", "kind", "name", "digest"), files)
        await _copy(connection, "job_scripts", data.SCRIPT_COLUMNS, data.scripts(rows))
        script_files = data.script_files(rows, contents.single, contents.triples)
        await _copy(connection, "job_script_files", data.FILE_COLUMNS, script_files)
        await _copy(connection, "job_submissions", data.SUBMISSION_COLUMNS, data.submissions(rows))
        await _copy(connection, "licences", data.LICENCE_COLUMNS, data.licences(rows))
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _copy(
    connection: asyncpg.Connection, table: str, columns: Sequence[str], records: Iterable[data.Row]
) -> None:
    # Creating an index on a full table is several times as fast.
    indexes = await connection.fetch(INDEXES, table)
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["indexname"]}"')
    # The rows are consistent, and checking their foreign keys takes longer than writing them.
    await connection.execute("SET session_replication_role = replica")
    await connection.copy_records_to_table(table, records=records, columns=columns)
    await connection.execute("SET session_replication_role = origin")
    for index in indexes:
        await connection.execute(index["indexdef"])
    await connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")  # noqa: S608 - a constant of this file


def fill_sqlite(url: str, rows: int) -> None:
    """Fill the tables that the list of job scripts reads."""
    connection = sqlite3.connect(path_of(url))
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        _insert(connection, "applications", data.APPLICATION_COLUMNS, data.applications())
        _insert(connection, "job_scripts", data.SCRIPT_COLUMNS, data.scripts(rows))
    connection.execute("ANALYZE")
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, columns: Sequence[str], records: Iterable[data.Row]) -> None:
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - constants of this file
    connection.executemany(statement, (tuple(map(_sqlite_value, record)) for record in records))


def _sqlite_value(value: object) -> object:
    return value.isoformat(" ") if isinstance(value, datetime) else value


def store(url: str) -> Contents:
    """Store the files of a run at ``url``."""
    contents = Contents(url)
    asyncio.run(contents.store())
    return contents
