"""Webhooks: HTTP notifications about events on the resources of the webhook's owner."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click
from aiohttp import web

from jobbergate_server import (
    Event,
    EventType,
    Models,
    Permission,
    PluginContext,
    Route,
    Section,
    hookimpl,
)
from jobbergate_webhooks import messages, routes
from jobbergate_webhooks.addresses import ADDRESSES, Addresses
from jobbergate_webhooks.commands import prune
from jobbergate_webhooks.courier import COURIER, Courier
from jobbergate_webhooks.events import EVENTS
from jobbergate_webhooks.permissions import EDIT, VIEW
from jobbergate_webhooks.settings import Webhooks


@hookimpl
def register_settings() -> type[Section]:
    """Return the settings of addresses, timeouts and retries."""
    return Webhooks


@hookimpl
def register_models() -> Models:
    """Return the models of the tables `webhooks` and `webhook_deliveries`."""
    return Models("jobbergate_webhooks.models", migrations="jobbergate_webhooks.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """Return the permissions to read and to change one's own webhooks."""
    return [VIEW, EDIT]


@hookimpl
def register_routes() -> Sequence[Route]:
    """Return the routes of webhooks and their deliveries."""
    return routes.ROUTES


@hookimpl
def register_events() -> Sequence[EventType]:
    """Return the events of webhooks."""
    return EVENTS


@hookimpl
def register_commands() -> Sequence[click.Command]:
    """Return the command that deletes old deliveries."""
    return [prune]


@hookimpl
@asynccontextmanager
async def lifespan(context: PluginContext[Webhooks]) -> AsyncIterator[Mapping[web.AppKey[Any], object]]:
    """Run the task that sends deliveries."""
    addresses = Addresses(context.settings.allowed_networks)
    courier = Courier(context.settings, addresses)
    try:
        yield {ADDRESSES: addresses, COURIER: courier}
    finally:
        await courier.close()


@hookimpl
async def on_event(event: Event, context: PluginContext[Webhooks]) -> None:
    """Store the deliveries of the event, and wake the task that sends them."""
    courier = context[COURIER]
    async with courier.storing:
        if await messages.store(event):
            courier.wake()


@hookimpl
async def check_health(context: PluginContext[Webhooks]) -> str:
    """Return `ok`, or the reason why the server sends no deliveries."""
    return "the task that sends deliveries has ended" if context[COURIER].task.done() else "ok"
