"""Job submissions: job scripts that users submit to clusters."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from jobbergate_job_submissions import agents, events, routes
from jobbergate_job_submissions.permissions import EDIT, VIEW
from jobbergate_server import EventType, Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """Return the model of the table `job_submissions`."""
    return Models("jobbergate_job_submissions.models", migrations="jobbergate_job_submissions.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """Return the permissions to read job submissions and to change one's own."""
    return [VIEW, EDIT]


@hookimpl
@asynccontextmanager
async def lifespan() -> AsyncIterator[Mapping[web.AppKey[Any], object]]:
    """Provide the semaphore that limits how many agents read pending submissions concurrently."""
    yield {agents.READING: asyncio.Semaphore(agents.READERS)}


@hookimpl
def register_events() -> Sequence[EventType]:
    """Return the events of job submissions, including those on their clusters."""
    return events.EVENTS


@hookimpl
def register_routes() -> Sequence[Route]:
    """Return the routes of the wire contract's section on job submissions."""
    return routes.ROUTES
