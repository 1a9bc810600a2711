"""Applications: templates that users render into job scripts."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from jobbergate_applications import events, routes, samples
from jobbergate_applications.permissions import EDIT, VIEW
from jobbergate_applications.sandbox import SANDBOX, WARM_UP_SECONDS, Sandbox
from jobbergate_server import EventType, Files, Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """Return the models of the tables `applications` and `application_files`."""
    return Models("jobbergate_applications.models", migrations="jobbergate_applications.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """Return the permissions to read applications and to change one's own."""
    return [VIEW, EDIT]


@hookimpl
def register_events() -> Sequence[EventType]:
    """Return the events of applications."""
    return events.EVENTS


@hookimpl
def register_routes() -> Sequence[Route]:
    """Return the routes of the wire contract's section on applications."""
    return routes.ROUTES


@hookimpl
@asynccontextmanager
async def lifespan() -> AsyncIterator[Mapping[web.AppKey[Any], object]]:
    """Provide the sandbox: child processes that parse and render uploaded files."""
    sandbox = Sandbox()
    warm_up = asyncio.get_running_loop().call_later(WARM_UP_SECONDS, sandbox.warm_up)
    try:
        yield {SANDBOX: sandbox}
    finally:
        warm_up.cancel()
        await sandbox.close()


@hookimpl
async def add_samples(owner: str, files: Files) -> None:
    """Add a sample application."""
    await samples.add_application(owner, files)
