"""The rows of a run, the same in every database: who owns what, and which words are rare."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

OWNERS = 100
OWNER = "user042@example.com"
"""Whose token asks: a hundredth of the job scripts is theirs."""
CLUSTER = "cluster-3"
"""Whose agent asks: a tenth of the submissions is for it."""
PENDING = 1000
"""How many submissions wait for that agent; as many job scripts, from the first on, have three files."""
RARE, RARE_ROWS = "zeolite", 5
COMMON, COMMON_PART = "turbine", 10
APPLICATIONS = 20
ARCHIVED_PART = 51
WAITING_PART = 1000
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
SUBJECTS = ("Flow around", "Heat in", "Stress in", "Waves along", "Noise of", "Corrosion of", "Vibration of")
OBJECTS = ("a car", "a lorry", "a wing", "a bridge", "a pipe", "a dam", "a ship", "a rotor", "a vessel", "a mast")

APPLICATION_COLUMNS = (
    "id",
    "created_at",
    "updated_at",
    "application_name",
    "application_identifier",
    "application_description",
    "application_owner_email",
    "application_uploaded",
    "is_archived",
)
SCRIPT_COLUMNS = (
    "id",
    "created_at",
    "updated_at",
    "job_script_name",
    "job_script_description",
    "job_script_owner_email",
    "application_id",
    "is_archived",
)
FILE_COLUMNS = ("job_script_id", "path", "is_main", "digest")
SUBMISSION_COLUMNS = (
    "id",
    "created_at",
    "updated_at",
    "job_submission_name",
    "job_submission_description",
    "job_submission_owner_email",
    "job_script_id",
    "execution_directory",
    "slurm_job_id",
    "client_id",
    "status",
)
LICENCE_COLUMNS = ("id", "feature", "seats")

Row = tuple[object, ...]


def owned_ids(rows: int) -> range:
    """The job scripts of the owner that have one file."""
    return range(PENDING + 42, rows + 1, OWNERS)


def applications() -> Iterator[Row]:
    """The applications, of which the first has files."""
    for number in range(1, APPLICATIONS + 1):
        moment = _moment(number)
        name = f"Solver {number}"
        yield number, moment, moment, name, f"solver-{number}", "Solves it.", OWNER, number == 1, False


def scripts(rows: int) -> Iterator[Row]:
    """As many job scripts."""
    for number in range(1, rows + 1):
        moment = _moment(number)
        subject = SUBJECTS[number % len(SUBJECTS)]
        thing = f"a {COMMON}" if number % COMMON_PART == 1 else OBJECTS[number % 97 % len(OBJECTS)]
        material = RARE if number % (rows // RARE_ROWS) == 1 else "steel"
        yield (
            number,
            moment,
            moment,
            f"{subject} {thing} {number}",
            f"A case of {material}, with a mesh of {number % 1000} cells and a time step of {number % 60} seconds.",
            _owner(number),
            number % APPLICATIONS + 1,
            number % ARCHIVED_PART == 0,
        )


def script_files(rows: int, single: list[str], triples: list[str]) -> Iterator[Row]:
    """The files of the job scripts: a digest of ``single`` for each, or three of ``triples`` for the first ones."""
    for number in range(1, rows + 1):
        if number > PENDING:
            yield number, "main.sh", True, single[number % len(single)]
            continue
        for place, path in enumerate(("main.sh", "mesh.txt", "lib/run.py")):
            yield number, path, place == 0, triples[3 * (number - 1) + place]


def submissions(rows: int) -> Iterator[Row]:
    """As many job submissions, of which the last wait for the agent."""
    for number in range(1, rows + 1):
        moment = _moment(number)
        waits = number > rows - PENDING
        script = number - rows + PENDING if waits else number
        status = "CREATED" if waits else "COMPLETED"
        client = CLUSTER if waits or number % 10 == 3 else f"cluster-{number % 9 + 10}"  # noqa: PLR2004 - a tenth
        if not waits and client != CLUSTER and number % WAITING_PART == 0:
            status = "CREATED"
        slurm_job_id = None if status == "CREATED" else number
        name, folder = f"Run {number}", f"/scratch/run-{number}"
        yield number, moment, moment, name, "", _owner(number), script, folder, slurm_job_id, client, status


def licences(rows: int) -> Iterator[Row]:
    """As many rows of the example plugin."""
    for number in range(1, rows + 1):
        yield number, f"feature-{number}", number % 50 + 1


def _moment(number: int) -> datetime:
    """A time of its own, with a fraction: the later, the larger the id."""
    return BEGINNING + timedelta(seconds=20 * number, microseconds=(number * 7919) % 999_999 + 1)


def _owner(number: int) -> str:
    return f"user{number % OWNERS:03}@example.com"
