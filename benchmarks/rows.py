"""The rows of a run, the same in every database, with their owners and words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

OWNERS = 100
OWNER = "user042@example.com"
"""The owner in the token: owner of a hundredth of the job scripts."""
CLUSTER = "cluster-3"
"""The client id of the agent, with a tenth of the submissions."""
PENDING = 1000
"""Pending submissions of that agent. As many of the first job scripts have three files."""
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
    """Return the ids of the owner's job scripts with one file."""
    return range(PENDING + 42, rows + 1, OWNERS)


def applications() -> Iterator[Row]:
    """Yield the applications. The first one has files."""
    for number in range(1, APPLICATIONS + 1):
        moment = _moment(number)
        name = f"Solver {number}"
        yield number, moment, moment, name, f"solver-{number}", "Solves it.", OWNER, number == 1, False


def scripts(rows: int) -> Iterator[Row]:
    """Yield so many job scripts."""
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
    """Yield the files of the job scripts: one of ``single`` for each, but three of ``triples`` for the first ones."""
    for number in range(1, rows + 1):
        if number > PENDING:
            yield number, "main.sh", True, single[number % len(single)]
            continue
        for place, path in enumerate(("main.sh", "mesh.txt", "lib/run.py")):
            yield number, path, place == 0, triples[3 * (number - 1) + place]


def submissions(rows: int) -> Iterator[Row]:
    """Yield so many job submissions. The last ones are pending."""
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
    """Yield so many rows of the example plugin."""
    for number in range(1, rows + 1):
        yield number, f"feature-{number}", number % 50 + 1


def _moment(number: int) -> datetime:
    """Return a unique time with a fraction, which increases with the id."""
    return BEGINNING + timedelta(seconds=20 * number, microseconds=(number * 7919) % 999_999 + 1)


def _owner(number: int) -> str:
    return f"user{number % OWNERS:03}@example.com"
