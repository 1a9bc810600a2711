"""The conformance suite finds what is wrong with a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobbergate_devkit.testing import conformance
from jobbergate_devkit.testing.route_caller import RouteCaller
from jobbergate_server.plugins.contribution import CONTRIBUTIONS

if TYPE_CHECKING:
    from conftest import Site
    from jobbergate_devkit.testing import MakeApp
    from jobbergate_devkit.testing.conformance import Conformance

pytestmark = [pytest.mark.usefixtures("clean_environment"), pytest.mark.database("sqlite")]

WRONG = """
import asyncio
from contextlib import asynccontextmanager
from aiohttp_apispec import docs, json_schema, response_schema
from jobbergate_server import BODY, PUBLIC, Permission, Route, Schema, hookimpl, json_response
from jobbergate_server.http import fields

EDIT = Permission("wrong:edit", "")

class ThingSchema(Schema):
    seats = fields.Integer(required=True)
    note = fields.Text()

async def silent(_):
    return {}

@docs(summary="Get a thing")
@response_schema(ThingSchema)
async def get_thing(request):
    return json_response({"seats": "four"})

@docs(summary="Add a thing")
@json_schema(ThingSchema)
async def add_thing(request):
    if "note" in request[BODY]:
        raise RuntimeError
    return json_response({}, status=418)

@docs(summary="Delete a thing")
async def delete_thing(request):
    raise RuntimeError

@hookimpl
@asynccontextmanager
async def lifespan():
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    yield {}

@hookimpl
def register_permissions():
    return [EDIT]

@hookimpl
def register_routes():
    return [
        Route("GET", "", silent, permission=PUBLIC),
        Route("GET", "/{id}", get_thing, permission=EDIT),
        Route("POST", "", add_thing, permission=EDIT),
        Route("DELETE", "/{id}", delete_thing, permission=EDIT),
    ]
"""
FORMS = "GET /wrong/{id}: 200 is not as documented at $.seats: 'four' is not of type 'integer'"
FAULT = "DELETE /wrong/{id}: 500 is a server error"


@pytest.fixture
async def caller(site: Site, make_app: MakeApp) -> RouteCaller:
    site.install("wrong", WRONG)
    served = await make_app(plugins=["wrong"], settings={"log": {"level": "CRITICAL"}})
    return RouteCaller(
        served, next(it for it in served.app[CONTRIBUTIONS] if it.plugin.slug == "wrong"), "a@example.com"
    )


@pytest.fixture
def suite() -> Conformance:
    return conformance("wrong")()


async def test_what_is_not_documented_is_named(suite: Conformance, caller: RouteCaller) -> None:
    with pytest.raises(AssertionError, match=r"'GET /wrong', 'wrong:edit'"):
        await suite.test_every_route_is_documented(caller)


async def test_an_answer_that_is_not_as_documented_is_named(suite: Conformance, caller: RouteCaller) -> None:
    with pytest.raises(AssertionError):
        await suite.test_responses_are_as_documented(caller)
    assert caller.complaints == [
        "POST /wrong: 418 to a usual request, which is not documented",
        FORMS,
        FAULT,
        "DELETE /wrong/{id}: 500 to a usual request, which is not documented",
    ]


async def test_an_answer_to_an_id_of_nothing_is_named(suite: Conformance, caller: RouteCaller) -> None:
    with pytest.raises(AssertionError):
        await suite.test_unknown_ids_are_not_found(caller)
    assert caller.complaints[:2] == [FORMS, "GET /wrong/{id}: 200 instead of 404 to id 2147483647"]
    assert caller.complaints[-2:] == [FAULT, "DELETE /wrong/{id}: 500 instead of 404 to id 0"]


async def test_a_value_that_breaks_a_handler_is_named(suite: Conformance, caller: RouteCaller) -> None:
    with pytest.raises(AssertionError):
        await suite.test_invalid_bodies_are_rejected(caller)
    assert caller.complaints == [
        "POST /wrong: 500 is a server error",
        f"POST /wrong: 500 to note={2**70}, which is not documented",
    ]


async def test_a_task_that_outlives_the_server_is_named(suite: Conformance, site: Site, make_app: MakeApp) -> None:
    site.install("wrong", WRONG)
    with pytest.raises(AssertionError, match=r"Event\.wait"):
        await suite.test_the_server_shuts_down_cleanly(make_app)
