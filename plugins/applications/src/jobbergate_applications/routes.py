"""The routes of applications."""

from aiohttp import web
from aiohttp_apispec import (
    docs,
    form_schema,
    headers_schema,
    json_schema,
    match_info_schema,
    querystring_schema,
    response_schema,
)
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from jobbergate_applications.events import CREATED, DELETED, UPDATED, emit_event
from jobbergate_applications.models import NAME_LENGTH, Application, Kind
from jobbergate_applications.permissions import EDIT, VIEW
from jobbergate_applications.sandbox import SANDBOX
from jobbergate_applications.schemas import (
    ApplicationCreateSchema,
    ApplicationDetailSchema,
    ApplicationFilesSchema,
    ApplicationListParameters,
    ApplicationPathSchema,
    ApplicationSchema,
    ApplicationUpdateSchema,
    ApplicationUploadSchema,
    ContentLengthSchema,
    IdentifierSchema,
)
from jobbergate_applications.storage import STORED, read_files, remove_files, replace_files, store
from jobbergate_applications.uploads import CONFIG, SOURCE, Draft, check, complete, draft
from jobbergate_server import (
    BODY,
    FILES,
    FORM,
    IDENTITY,
    QUERY,
    Conflict,
    ListQuery,
    NotFound,
    Route,
    delete_row,
    fields,
    get_own_row,
    get_row,
    require_email,
    require_owner,
    transaction_time,
)


def listed(request: web.Request) -> Q:
    """Return the filter of a list: applications with an identifier that are not archived, unless widened."""
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


@docs(summary="Add an application", responses={"409": {"description": "The identifier is in use."}})
@json_schema(ApplicationCreateSchema)
@response_schema(ApplicationSchema, 201)
async def create_application(request: web.Request) -> Application:
    """Add an application that the caller owns. The caller uploads its files afterwards."""
    body = request[BODY]
    owner = require_email(request)
    moment = transaction_time()
    application = Application(**body, application_owner_email=owner, created_at=moment, updated_at=moment)
    emit_event(CREATED, await saved(application))
    return application


@docs(
    summary="Get an application by id or identifier",
    parameters=[
        {
            "in": "path",
            "name": "application_id",
            "required": True,
            "description": "The application's id or identifier.",
            "schema": {"type": "string", "examples": ["fluid-dynamics"]},
        }
    ],
)
@response_schema(ApplicationDetailSchema)
async def get_application(request: web.Request) -> Application:
    """Return an application by its id or identifier. A value that parses as an integer is an id."""
    text = request.match_info["application_id"]
    identification: int | str
    try:
        identification = int(text)
    except ValueError:
        identification = text
        application = await find_by_identifier(identification)
    else:
        application = await get_row(Application, identification)
    if application is None:
        raise NotFound(f"Application application_identification={identification!r} not found.")
    if application.application_uploaded:
        contents = await read_files(request.app[FILES], application)
        application.application_config = contents.config
        application.application_source_file = contents.source
        application.application_templates = contents.templates
    return application


@docs(summary="Change an application", responses={"409": {"description": "The identifier is in use."}})
@match_info_schema(ApplicationPathSchema)
@json_schema(ApplicationUpdateSchema)
@response_schema(ApplicationSchema)
async def update_application(request: web.Request) -> Application:
    """Change an application. Only its owner may do so."""
    application = await own_application(request)
    changes = {name: value for name, value in request[BODY].items() if name != "application_config"}
    application.update_from_dict(changes)
    return await changed(request, application)


@docs(summary="Delete an application", responses={"204": {"description": "The application is deleted."}})
@match_info_schema(ApplicationPathSchema)
async def delete_application(request: web.Request) -> None:
    """Delete an application. Job scripts rendered from it remain, without an application."""
    await deleted(await own_application(request))


@docs(
    summary="Delete an application by identifier",
    responses={
        "204": {"description": "The application is deleted."},
        "404": {"description": "No application has this identifier."},
    },
)
@querystring_schema(IdentifierSchema)
async def delete_application_by_identifier(request: web.Request) -> None:
    """Delete an application. Job scripts rendered from it remain, without an application."""
    identifier = request[QUERY]["identifier"]
    application = await find_by_identifier(identifier)
    if application is None:
        raise NotFound(f"Application identifier={identifier!r} not found.")
    require_owner(request, "application", application.id, application.application_owner_email)
    await deleted(application)


async def prepare_update(request: web.Request) -> None:
    """Check and store the jobbergate.yaml in the changes of an application, if any."""
    text = request[BODY].get("application_config")
    if text is not None:  # only an owner's file is stored
        await own_application(request, lock=False)
    await prepare(request, [] if text is None else [draft(Kind.CONFIG, CONFIG, text.encode())])


async def prepare_upload(request: web.Request) -> None:
    """Check and store all files of an application."""
    await own_application(request, lock=False)
    drafts = await complete(request.app[SANDBOX], request[FORM]["upload_files"])
    request[STORED] = await store(request.app[FILES], drafts)


async def prepare_files(request: web.Request) -> None:
    """Check and store some files of an application."""
    await own_application(request, lock=False)
    form = request[FORM]
    drafts = [draft(Kind.TEMPLATE, file.name, file.content) for file in form.get("template_files", ())]
    for field, kind, name in (("source_file", Kind.SOURCE, SOURCE), ("config_file", Kind.CONFIG, CONFIG)):
        if field in form:
            drafts.append(draft(kind, name, form[field].content))
    await prepare(request, drafts)


async def prepare(request: web.Request, drafts: list[Draft]) -> None:
    """Check and store the files."""
    if drafts:
        await check(request.app[SANDBOX], drafts)
    request[STORED] = await store(request.app[FILES], drafts)


@docs(summary="Upload the files of an application")
@match_info_schema(ApplicationPathSchema)
@headers_schema(ContentLengthSchema)
@form_schema(ApplicationUploadSchema)
async def upload_application(request: web.Request) -> None:
    """Replace all files of an application. The server ignores files of other types than those listed."""
    application = await own_application(request)
    await remove_files(application)
    await changed(request, application)


@docs(summary="Upload some files of an application", responses={"204": {"description": "The files are stored."}})
@match_info_schema(ApplicationPathSchema)
@form_schema(ApplicationFilesSchema)
async def upload_application_files(request: web.Request) -> None:
    """Store files of an application. A file replaces the one with the same name; the remaining files stay."""
    application = await own_application(request)
    if request[STORED]:
        await changed(request, application)


@docs(summary="Delete the files of an application", responses={"204": {"description": "The files are deleted."}})
@match_info_schema(ApplicationPathSchema)
async def delete_application_files(request: web.Request) -> None:
    """Delete the files of an application, but not the application."""
    application = await own_application(request)
    if application.application_uploaded:
        await remove_files(application)
        application.update_from_dict({"application_uploaded": False, "updated_at": transaction_time()})
        await application.save()
        emit_event(UPDATED, application)


async def changed(request: web.Request, application: Application) -> Application:
    """Save the application with the files that the request has stored."""
    stored = request[STORED]
    if stored:
        await replace_files(application, stored)
        application.application_uploaded = True
    application.updated_at = transaction_time()
    emit_event(UPDATED, await saved(application))
    return application


async def deleted(application: Application) -> None:
    """Delete the application, and emit its event."""
    await delete_row(application)
    emit_event(DELETED, application)


async def own_application(request: web.Request, *, lock: bool = True) -> Application:
    """Return the application of the path, which the caller must own."""
    return await get_own_row(request, Application, "application_id", owner="application_owner_email", lock=lock)


async def find_by_identifier(identifier: str) -> Application | None:
    """Return the application with this identifier, or None."""
    if len(identifier) > NAME_LENGTH or not fields.is_storable(identifier):
        return None
    return await Application.get_or_none(application_identifier=identifier)


async def saved(application: Application) -> Application:
    """Save the application.

    Raises:
        Conflict: Another application has its identifier.
    """
    try:
        await application.save()
    except IntegrityError:
        raise Conflict(f"Application identifier {application.application_identifier!r} is already in use.") from None
    return application


ROUTES = [
    Route("GET", "", list_applications, permission=VIEW),
    Route("POST", "", create_application, permission=EDIT, status=201, inserts=True),
    Route("DELETE", "", delete_application_by_identifier, permission=EDIT, status=204),
    Route("GET", "/{application_id}", get_application, permission=VIEW),
    Route("PUT", "/{application_id}", update_application, permission=EDIT, prepare=prepare_update),
    Route("DELETE", "/{application_id}", delete_application, permission=EDIT, status=204),
    Route("POST", "/{application_id}/upload", upload_application, permission=EDIT, prepare=prepare_upload, status=201),
    Route(
        "PATCH",
        "/{application_id}/upload/individually",
        upload_application_files,
        permission=EDIT,
        prepare=prepare_files,
        status=204,
    ),
    Route("DELETE", "/{application_id}/upload", delete_application_files, permission=EDIT, status=204),
]
