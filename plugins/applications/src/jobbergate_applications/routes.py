"""The routes of applications."""

from aiohttp import web
from aiohttp_apispec import docs, json_schema, match_info_schema, querystring_schema, response_schema
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from jobbergate_applications.models import Application
from jobbergate_applications.permissions import EDIT, VIEW
from jobbergate_applications.schemas import (
    ApplicationCreateSchema,
    ApplicationDetailSchema,
    ApplicationListParameters,
    ApplicationPathSchema,
    ApplicationSchema,
    ApplicationUpdateSchema,
    IdentifierSchema,
)
from jobbergate_server import (
    BODY,
    IDENTITY,
    PATH,
    QUERY,
    Conflict,
    ListQuery,
    NotFound,
    Route,
    delete_row,
    fields,
    find,
    now,
    require_email,
    require_owner,
)


def listed(request: web.Request) -> Q:
    """The applications that a list shows: those with an identifier that are not archived, unless it asks for more."""
    query = request[QUERY]
    rows = Q()
    if not query["all"]:
        rows &= Q(application_identifier__isnull=False)
    if query["user"]:
        rows &= Q(application_owner_email=request[IDENTITY].email)
    if not query["include_archived"]:
        rows &= Q(is_archived=False)
    return rows


list_applications = ListQuery(
    Application,
    ApplicationSchema,
    parameters=ApplicationListParameters,
    where=listed,
    search=["application_name", "application_identifier", "application_description", "application_owner_email"],
    sort=[
        "id",
        "application_name",
        "application_identifier",
        "application_owner_email",
        "application_uploaded",
        "created_at",
        "updated_at",
    ],
)


@docs(summary="Add an application")
@json_schema(ApplicationCreateSchema)
@response_schema(ApplicationSchema, 201)
async def create_application(request: web.Request) -> Application:
    """The caller becomes its owner. Its files are uploaded afterwards."""
    body = request[BODY]
    owner = require_email(request)
    moment = now()
    return await saved(Application(**body, application_owner_email=owner, created_at=moment, updated_at=moment))


@docs(summary="Get an application by id or identifier")
@response_schema(ApplicationDetailSchema)
async def get_application(request: web.Request) -> Application:
    """Whatever reads as an integer is an id; everything else is an identifier."""
    text = request.match_info["application_identification"]
    identification: int | str
    try:
        identification = int(text)
    except ValueError:
        identification = text
        application = await find_by_identifier(identification)
    else:
        application = await find(Application, identification)
    if application is None:
        raise NotFound(f"Application application_identification={identification!r} not found.")
    return application


@docs(summary="Change an application")
@match_info_schema(ApplicationPathSchema)
@json_schema(ApplicationUpdateSchema)
@response_schema(ApplicationSchema)
async def update_application(request: web.Request) -> Application:
    """Only its owner may change an application."""
    application = await own_application(request)
    application.update_from_dict(request[BODY] | {"updated_at": now()})
    return await saved(application)


@docs(summary="Delete an application", responses={"204": {"description": "It is deleted."}})
@match_info_schema(ApplicationPathSchema)
async def delete_application(request: web.Request) -> None:
    """The job scripts that were made from it stay, without an application."""
    await delete_row(await own_application(request))


@docs(summary="Delete an application by identifier", responses={"204": {"description": "It is deleted."}})
@querystring_schema(IdentifierSchema)
async def delete_application_by_identifier(request: web.Request) -> None:
    """The job scripts that were made from it stay, without an application."""
    identifier = request[QUERY]["identifier"]
    application = await find_by_identifier(identifier)
    if application is None:
        raise NotFound(f"Application identifier={identifier!r} not found.")
    require_owner(request, "application", application.id, application.application_owner_email)
    await delete_row(application)


async def own_application(request: web.Request) -> Application:
    """The application of the path, locked, which must be the caller's."""
    application_id = request[PATH]["application_id"]
    application = await find(Application, application_id, lock=True)
    if application is None:
        raise NotFound(f"Could not find applications instance with id {application_id}")
    require_owner(request, "application", application.id, application.application_owner_email)
    return application


async def find_by_identifier(identifier: str) -> Application | None:
    """The application with this identifier, if there is one."""
    if not fields.is_storable(identifier):
        return None
    return await Application.get_or_none(application_identifier=identifier)


async def saved(application: Application) -> Application:
    """Write the application.

    Raises:
        Conflict: Another one has its identifier.
    """
    try:
        await application.save()
    except IntegrityError:
        raise Conflict(f"Application identifier {application.application_identifier!r} is already in use.") from None
    return application


ROUTES = [
    Route("GET", "", list_applications, permission=VIEW),
    Route("POST", "", create_application, permission=EDIT, status=201),
    Route("DELETE", "", delete_application_by_identifier, permission=EDIT, status=204),
    Route("GET", "/{application_identification}", get_application, permission=VIEW),
    Route("PUT", "/{application_id}", update_application, permission=EDIT),
    Route("DELETE", "/{application_id}", delete_application, permission=EDIT, status=204),
]
