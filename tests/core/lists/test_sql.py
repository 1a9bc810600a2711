"""The SQL of lists and of prepared queries, made with what Tortoise keeps to itself and might change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tortoise.expressions import Q

from jobbergate_applications.models import Application
from jobbergate_job_scripts.models import JobScript
from jobbergate_job_submissions.models import JobSubmission, Status
from jobbergate_server import PreparedQuery, get_row
from jobbergate_server.database.prepared import compiled
from jobbergate_server.http.keys import DATABASE
from jobbergate_server.lists.sql import Columns, Condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobbergate_devkit.testing import Served
    from jobbergate_server.database.connection import Database

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)
MOMENTS: dict[str, Any] = {"created_at": MOMENT, "updated_at": MOMENT.replace(microsecond=0)}


@pytest.fixture
async def database(served: Served) -> AsyncIterator[Database]:
    """A database with a submission of a job script of an application, and one of nothing."""
    with served.app[DATABASE].bound():
        application = await Application.create(**MOMENTS, application_name="Fluid", application_owner_email="a@b.c")
        script = await JobScript.create(
            **MOMENTS, job_script_name="Car", job_script_owner_email="a@b.c", application=application
        )
        for job_script, name in ((script, "first"), (None, "second")):
            await JobSubmission.create(
                **MOMENTS,
                job_submission_name=name,
                job_submission_owner_email="a@b.c",
                job_script=job_script,
                client_id="cluster",
                execution_parameters={"tasks": 4},
            )
        yield served.app[DATABASE]


async def test_a_statement_is_what_tortoise_would_send(database: Database) -> None:
    sql, values, _ = compiled(JobScript.filter(job_script_name="Car", id__gt=0).count())
    where = '"job_script_name"=? AND "id">?' if database.is_sqlite else '"job_script_name"=$1 AND "id">$2'
    assert sql == f'SELECT COUNT(*) FROM "job_scripts" WHERE {where}'  # noqa: S608 - of texts of this test
    assert values == ("Car", 0)
    assert [tuple(row) for row in await database.fetch(sql, values)] == [(1,)]


async def test_columns_of_rows_that_a_row_points_to_are_looked_up(database: Database) -> None:
    paths = {
        "name": "job_submission_name",
        "files": None,
        "script": "job_script.job_script_name",
        "application": "job_script.application.application_name",
        "since": "job_script.application.created_at",
        "until": "updated_at",
    }
    columns = Columns(JobSubmission, paths, is_sqlite=database.is_sqlite)
    sql, values, _ = columns.page(JobSubmission.all(), None, ascending=True)
    rows = [dict(zip(paths, row, strict=True)) for row in await database.fetch(sql, (*values, 10, 0))]
    for row in rows:
        row.update({name: convert(row[name]) for name, convert in columns.convert.items()})
    nothing = {"files": None, "script": None, "application": None, "since": None, "until": "2026-01-02T03:04:05"}
    assert rows == [
        {
            "name": "first",
            "files": None,
            "script": "Car",
            "application": "Fluid",
            "since": "2026-01-02T03:04:05.000060",
            "until": "2026-01-02T03:04:05",
        },
        {"name": "second", **nothing},
    ]


async def test_values_become_what_tortoise_makes_of_them(database: Database) -> None:
    paths = {"status": "status", "parameters": "execution_parameters"}
    columns = Columns(JobSubmission, paths, is_sqlite=database.is_sqlite)
    sql, values, _ = columns.page(JobSubmission.filter(id=1), None, ascending=True)
    (row,) = [dict(zip(paths, row, strict=True)) for row in await database.fetch(sql, (*values, 10, 0))]
    converted = {name: columns.convert[name](value) for name, value in row.items()}
    assert converted == {"status": Status.CREATED, "parameters": {"tasks": 4}}


async def test_a_prepared_query_finds_what_the_query_finds(database: Database) -> None:
    query = PreparedQuery(
        JobSubmission,
        lambda name, least: (
            JobSubmission.filter(Q(job_submission_name=name), id__gte=least, client_id="cluster")
            .select_related("job_script__application")
            .order_by("id")
        ),
    )
    for name, least, expected in (("first", 1, [1]), ("second", 1, [2]), ("second", 3, []), ("'; --", 1, [])):
        assert [row.id for row in await query(name, least)] == expected
    (row,) = await query("first", 1)
    assert row.job_script is not None
    assert row.job_script.application is not None
    assert row.job_script.application.application_name == "Fluid"
    async with database.transaction():
        await JobSubmission.filter(id=1).update(job_submission_name="renamed")
        assert [row.id for row in await query("renamed", 1)] == [1]


async def test_find_answers_each_id_its_own_row(database: Database) -> None:
    for row_id, name in ((1, "first"), (2, "second"), (1, "first")):
        row = await get_row(JobSubmission, row_id, "job_script")
        assert row is not None
        assert row.job_submission_name == name
    for row_id in (0, -1, 3, 2**31 - 1, 2**31, 2**70):
        assert await get_row(JobSubmission, row_id) is None
    async with database.transaction():
        assert await get_row(JobSubmission, 1, lock=True) is not None


async def test_a_value_that_is_not_compared_with_as_it_is_cannot_be_prepared(database: Database) -> None:
    query = PreparedQuery(JobSubmission, lambda name: JobSubmission.filter(job_submission_name__icontains=name))
    with pytest.raises(ValueError, match=r"^the query must compare each value once and without conversion: SELECT "):
        await query("first")
    async with database.transaction():
        assert await JobSubmission.filter(job_submission_name__icontains="first").count() == 1


SAME = [
    (Q(a=1, b=None), Q(a=1, b=None)),
    (Q(a__in=[1, 2]), Q(a__in=[1, 2])),
    (Q(a={"b": [1]}), Q(a={"b": [1]})),
    (~Q(Q(a=1), Q(b=2)), ~Q(Q(a=1), Q(b=2))),
]
DIFFERENT = [
    (Q(a=1), Q(a=True)),
    (Q(a=1), Q(a=2)),
    (Q(a=1), Q(b=1)),
    (Q(a=1), ~Q(a=1)),
    (Q(a__in=[1, 2]), Q(a__in=[1])),
    (Q(Q(a=1), Q(b=2)), Q(Q(a=1), Q(b=2), join_type="OR")),
    (Q(Q(a=1), Q(b=2)), Q(Q(a=1), ~Q(b=2))),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_conditions_that_say_the_same_are_one_key(one: Q, other: Q) -> None:
    assert len({Condition(one), Condition(other)}) == 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_conditions_that_differ_are_two_keys(one: Q, other: Q) -> None:
    assert len({Condition(one), Condition(other)}) == 2
