"""Health, readiness, the API document and its page, and the list of plugins."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp_apispec import docs, response_schema

from jobbergate_server.auth.permissions import AUTHENTICATED, PUBLIC
from jobbergate_server.errors import NotFound
from jobbergate_server.http import fields
from jobbergate_server.http.responses import CONTENT_TYPE, json_response
from jobbergate_server.openapi import DOCUMENT
from jobbergate_server.plugins.context import Models
from jobbergate_server.plugins.hookspecs import hookimpl
from jobbergate_server.plugins.plugin import State
from jobbergate_server.plugins.registry import PLUGINS
from jobbergate_server.routing.route import MOUNT, Route
from jobbergate_server.service.health import readiness

SWAGGER = Path(str(files("jobbergate_server.service") / "swagger"))
SWAGGER_FILES = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
"""The files of the page, with content types that do not depend on the machine's configuration."""

DOCS_HEADERS = {
    "Cache-Control": "no-cache",  # revalidate: an update of the server may change the files
    "Referrer-Policy": "no-referrer",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Jobbergate Server</title>
<link rel="icon" href="{MOUNT}/docs/favicon-32x32.png">
<link rel="stylesheet" href="{MOUNT}/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="{MOUNT}/docs/swagger-ui-bundle.js"></script>
<script src="{MOUNT}/docs/start.js"></script>
</html>
"""


class ReadinessSchema(fields.Schema):
    """The readiness of the server and of its parts."""

    ready = fields.Boolean(required=True, example=True)
    degraded = fields.Boolean(
        required=True,
        description="Whether an optional plugin has failed or is not healthy.",
        example=False,
    )
    checks = fields.Object(
        required=True,
        description="Result of each check, of the server and of its plugins: `ok`, or the reason.",
        example={"database": "ok", "schema": "ok", "issuer": "ok"},
    )


class PluginSchema(fields.Schema):
    """An installed plugin."""

    name = fields.Text(required=True, example="job-scripts")
    version = fields.Text(required=True, example="0.1.0")
    state = fields.Choice(tuple(State), required=True, example="active")
    reason = fields.Text(required=True, allow_none=True, description="Why the plugin is not active.", example=None)


class PluginsSchema(fields.Schema):
    """The installed plugins."""

    plugins = fields.List(fields.Nested(PluginSchema), required=True)


@docs(summary="Check that the process is alive", responses={"204": {"description": "The process is alive."}})
async def health(_: web.Request) -> None:
    """Respond without a check of the database or the provider."""


@docs(
    summary="Check whether the server can serve",
    responses={"503": {"description": "A part is not ready.", "schema": ReadinessSchema()}},
)
@response_schema(ReadinessSchema, description="All parts are ready.")
async def ready(request: web.Request) -> web.Response:
    """Check database, schema, provider, file store and plugins."""
    state = await readiness(request.app)
    answer = {"ready": state.ready, "degraded": state.degraded, "checks": state.checks}
    return json_response(answer, status=200 if state.ready else 503)


@docs(summary="List the installed plugins")
@response_schema(PluginsSchema, description="All installed plugins, including disabled and failed ones.")
async def list_plugins(request: web.Request) -> dict[str, object]:
    """Return the name, version and state of each installed plugin."""
    return {
        "plugins": [
            {"name": plugin.slug, "version": plugin.version, "state": plugin.state, "reason": plugin.reason}
            for plugin in request.app[PLUGINS].installed
        ]
    }


@docs(
    summary="Get this document",
    responses={"200": {"description": "The document.", "content": {CONTENT_TYPE: {"schema": {"type": "object"}}}}},
)
async def openapi_document(request: web.Request) -> web.Response:
    """Return the OpenAPI 3.1 document of all routes."""
    return web.Response(body=request.app[DOCUMENT], content_type=CONTENT_TYPE)


@docs(
    summary="Show this document as a page",
    responses={"200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def docs_page(_: web.Request) -> web.Response:
    """Return Swagger UI, which loads files of this server only."""
    headers = DOCS_HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return web.Response(text=PAGE, content_type="text/html", headers=headers)


@docs(
    summary="Get a file of the page",
    parameters=[{"in": "path", "name": "name", "required": True, "schema": {"enum": list(SWAGGER_FILES)}}],
    responses={
        "200": {
            "description": "The file.",
            "content": {content_type: {} for content_type in sorted(set(SWAGGER_FILES.values()))},
        }
    },
)
async def docs_file(request: web.Request) -> web.FileResponse:
    """Return a script, style sheet or icon of the page."""
    name = request.match_info["name"]
    if name not in SWAGGER_FILES:
        raise NotFound("Not Found")
    return web.FileResponse(SWAGGER / name, headers=DOCS_HEADERS | {"Content-Type": SWAGGER_FILES[name]})


@hookimpl
def register_models() -> Models:
    """Return the tables of the core, such as the events and the owners of tables."""
    return Models("jobbergate_server.database.models", migrations="jobbergate_server.database.migrations")


@hookimpl
def register_routes() -> list[Route]:
    """Return the routes of the service."""
    return [
        Route("GET", "/health", health, permission=PUBLIC, under="", status=204),
        Route("GET", "/ready", ready, permission=PUBLIC, under=""),
        Route("GET", "/plugins", list_plugins, permission=AUTHENTICATED, under=""),
        Route("GET", "/openapi.json", openapi_document, permission=PUBLIC, under=""),
        Route("GET", "/docs", docs_page, permission=PUBLIC, under=""),
        Route("GET", "/docs/{name}", docs_file, permission=PUBLIC, under=""),
    ]
