"""Webhooks: programs learn over HTTP what happens to the things of whoever has registered them."""

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
    """Where webhooks may lead to, and how often a delivery is tried."""
    return Webhooks


@hookimpl
def register_models() -> Models:
    """The tables `webhooks` and `webhook_deliveries`."""
    return Models("jobbergate_webhooks.models", migrations="jobbergate_webhooks.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """To see one's own webhooks, and to change them."""
    return [VIEW, EDIT]


@hookimpl
def register_routes() -> Sequence[Route]:
    """Webhooks and their deliveries, for their owners."""
    return routes.ROUTES


@hookimpl
def register_events() -> Sequence[EventType]:
    """What is done to webhooks."""
    return EVENTS


@hookimpl
def register_commands() -> Sequence[click.Command]:
    """To delete old deliveries."""
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
    """Store the deliveries of the event, and send them at once."""
    if await messages.store(event):
        context[COURIER].wake()


@hookimpl
async def check_health(context: PluginContext[Webhooks]) -> str:
    """Report whether deliveries are sent."""
    return "the task that sends deliveries has ended" if context[COURIER].task.done() else "ok"
