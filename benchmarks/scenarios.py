"""The scenarios: their requests, contenders and connections."""

import json
from dataclasses import dataclass

from benchmarks import rows as data
from benchmarks.load import Call

ALL = "/jobbergate/job-scripts?all=true"
PAGE = "start=0&limit=50"
LIST = Call(f"{ALL}&{PAGE}")
CREATION = json.dumps({"job_script_name": "Flow around a car", "job_script_description": "First try"})
RENDERING = json.dumps(
    {"job_script_name": "Flow around a car", "application_id": 1, "sbatch_params": ["--ntasks=4", "--exclusive"]}
)
CHANGE = json.dumps({"job_script_name": "Flow around a lorry", "job_script_description": "Second try"})

OURS = "this server"
EXACT = "this server, exact total"
TWO_WORKERS = ", two workers"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server in a scenario: its name in the table, and its kind. ``equal`` requires the first server's response."""

    name: str
    kind: str
    equal: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, with a row in the table for each contender and number of rows."""

    name: str
    sentence: str
    call: Call
    contenders: tuple[Contender, ...] = (Contender(OURS, "ours"),)
    connections: int = 16
    agent: bool = False
    """Whether the token is that of an agent."""


def scenarios(rows: int) -> tuple[Scenario, ...]:
    """Return all scenarios for a smallest database of so many rows, with writing scenarios last."""
    script = "/jobbergate/job-scripts/{id}"
    owned = data.owned_ids(rows)
    return (
        Scenario(
            "list",
            "The first page of 50 job scripts of all owners.",
            LIST,
            (
                Contender(EXACT, "exact"),
                Contender(OURS, "ours", equal=True),
                Contender("limit", "limit", equal=True),
                Contender("fastapi", "fastapi", equal=True),
                Contender("constant", "constant"),
            ),
        ),
        Scenario(
            "workers",
            "One job script with its file, from one worker process and from two (`server.workers`).",
            Call(script, ids=owned),
            (Contender(OURS, "ours"), Contender(OURS + TWO_WORKERS, "two")),
        ),
        Scenario(
            "own",
            "The first page of 50 of the caller's own job scripts, a hundredth of all.",
            Call(f"/jobbergate/job-scripts?{PAGE}"),
        ),
        Scenario(
            "rare",
            "The first page of a search for a word in five job scripts.",
            Call(f"{ALL}&{PAGE}&search={data.RARE}"),
        ),
        Scenario(
            "common",
            "The first page of a search for a word in a tenth of the job scripts.",
            Call(f"{ALL}&{PAGE}&search={data.COMMON}"),
        ),
        Scenario(
            "sorted",
            "The first page of the job scripts of all owners, sorted by name.",
            Call(f"{ALL}&{PAGE}&sort_field=job_script_name"),
        ),
        Scenario("deep", "Page 200 of the job scripts of all owners, 50 a page.", Call(f"{ALL}&start=200&limit=50")),
        Scenario("get", "One job script with its file.", Call(script, ids=owned)),
        Scenario(
            "pending",
            "An agent's 1,000 pending submissions with three files each, over one connection.",
            Call("/jobbergate/job-submissions/agent/pending"),
            connections=1,
            agent=True,
        ),
        Scenario(
            "plugin",
            "The first page of the list of the example plugin `licences`.",
            Call(f"/jobbergate/licences?{PAGE}"),
            (Contender(OURS, "licences"),),
        ),
        Scenario("sqlite", "As `list`, on SQLite.", LIST, (Contender(OURS, "sqlite"),)),
        Scenario("change", "A change of a job script's name and description.", Call(script, "PUT", CHANGE, owned)),
        Scenario(
            "add",
            "A new job script without files.",
            Call("/jobbergate/job-scripts", "POST", CREATION),
            (Contender(OURS, "ours"), Contender("insert", "limit")),
        ),
        Scenario(
            "render",
            "A new job script from an application with two templates, over four connections.",
            Call("/jobbergate/job-scripts", "POST", RENDERING),
            connections=4,
        ),
    )
