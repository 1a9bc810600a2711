"""Licences of the installation."""

from aiohttp import web
from aiohttp_apispec import docs, json_schema, response_schema
from tortoise import Model
from tortoise import fields as columns

from jobbergate_server import BODY, ListQuery, Models, Permission, Route, Schema, fields, hookimpl

VIEW = Permission("jobbergate:licences:view", "Read the licences.")
EDIT = Permission("jobbergate:licences:edit", "Add licences.")


class Licence(Model):
    """The seats of a licensed feature."""

    id = columns.IntField(primary_key=True)
    feature = columns.CharField(64, unique=True)
    seats = columns.IntField(db_index=True)

    class Meta:
        """Tortoise's options."""

        table = "licences"


class LicenceSchema(Schema):
    """The request and response body of a licence."""

    id = fields.Integer(dump_only=True)
    feature = fields.Text(required=True, max_length=64)
    seats = fields.Integer(required=True, ge=1)


list_licences = ListQuery(Licence, LicenceSchema, search=["feature"], sort=["id", "feature", "seats"])


@docs(summary="Add a licence")
@json_schema(LicenceSchema)
@response_schema(LicenceSchema, 201)
async def add_licence(request: web.Request) -> Licence:
    """Add the licence that the body describes."""
    return Licence(**request[BODY])


@hookimpl
def register_models() -> Models:
    """Return the model of the table `licences`."""
    return Models("acme_licences", migrations="acme_licences.migrations")


@hookimpl
def register_permissions() -> list[Permission]:
    """Return the permissions to read and to add licences."""
    return [VIEW, EDIT]


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes that list and add licences."""
    return [
        Route("GET", "", list_licences, permission=VIEW),
        Route("POST", "", add_licence, permission=EDIT, status=201, inserts=True),
    ]
