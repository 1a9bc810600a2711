"""The upper limit of aiohttp and asyncpg: PostgreSQL creates the JSON, and Python only forwards it."""

from collections.abc import AsyncIterator

import asyncpg
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.peers.serving import EDIT, POOL_SIZE, VIEW, Refused, Verifier, options, serve

POOL: web.AppKey[asyncpg.Pool] = web.AppKey("pool", asyncpg.Pool)
VERIFIER = web.AppKey("verifier", Verifier)

MOMENT = """replace(to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '') AS %s"""
MOMENTS = ", ".join(MOMENT % (name, name) for name in ("created_at", "updated_at"))
ROW = f"""id, {MOMENTS}, job_script_name, job_script_description, NULL AS job_script_files, job_script_owner_email,
application_name, application_id, is_archived"""
PAGE = f"""
SELECT coalesce(string_agg(row_to_json(shown)::text, ','), '') FROM (
  SELECT {ROW} FROM (
    SELECT s.id, s.created_at, s.updated_at, s.job_script_name, s.job_script_description, s.job_script_owner_email,
      a.application_name, s.application_id, s.is_archived
    FROM job_scripts s LEFT JOIN applications a ON a.id = s.application_id
    WHERE NOT s.is_archived ORDER BY s.id OFFSET $1 LIMIT $2
  ) page ORDER BY page.id
) shown
"""  # noqa: S608 - constants of this file
TOTAL = "SELECT count(*) FROM job_scripts WHERE NOT is_archived"
INSERT = f"""
WITH added AS (
  INSERT INTO job_scripts (created_at, updated_at, job_script_name, job_script_description, job_script_owner_email,
    is_archived)
  VALUES (now(), now(), $1, $2, $3, false) RETURNING *, NULL AS application_name
)
SELECT row_to_json(shown)::text FROM (SELECT {ROW} FROM added) shown
"""  # noqa: S608 - constants of this file


async def list_job_scripts(request: web.Request) -> web.Response:
    """Return a page of the job scripts of all owners, with their exact number."""
    request.app[VERIFIER].claims(request.headers.get("Authorization"), VIEW)
    start, limit = int(request.query["start"]), int(request.query["limit"])
    async with request.app[POOL].acquire() as connection:
        total = await connection.fetchval(TOTAL)
        results = await connection.fetchval(PAGE, start * limit, limit)
    pagination = f'],"pagination":{{"total":{total},"start":{start},"limit":{limit}}}}}'
    return web.Response(body=f'{{"results":[{results}{pagination}'.encode(), content_type="application/json")


async def add_job_script(request: web.Request) -> web.Response:
    """Insert a job script without files."""
    claims = request.app[VERIFIER].claims(request.headers.get("Authorization"), EDIT)
    body = orjson.loads(await request.read())
    row = body["job_script_name"], body["job_script_description"], claims["email"]
    answer = await request.app[POOL].fetchval(INSERT, *row)
    return web.Response(text=answer, status=201, content_type="application/json")


async def ready(_: web.Request) -> web.Response:
    """Return an empty response, which signals readiness."""
    return web.Response()


@web.middleware
async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reject requests without a valid token with 401 or 403."""
    try:
        return await handler(request)
    except Refused as refusal:
        return web.Response(status=refusal.status)


def main() -> None:
    """Serve the web application."""
    chosen = options()

    async def connected(app: web.Application) -> AsyncIterator[None]:
        size = {"min_size": POOL_SIZE, "max_size": POOL_SIZE}
        async with asyncpg.create_pool(chosen.database, **size) as pool:
            app[POOL] = pool
            yield

    app = web.Application(middlewares=[refuse])
    app[VERIFIER] = Verifier(chosen.issuer)
    app.cleanup_ctx.append(connected)
    app.router.add_get("/jobbergate/job-scripts", list_job_scripts)
    app.router.add_post("/jobbergate/job-scripts", add_job_script)
    app.router.add_get("/jobbergate/ready", ready)
    serve(app, chosen.port)


if __name__ == "__main__":
    main()
