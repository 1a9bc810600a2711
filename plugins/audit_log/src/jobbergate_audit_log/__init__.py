"""The audit log: the author, resource and time of every change."""

from collections.abc import Sequence

import click

from jobbergate_audit_log.commands import prune
from jobbergate_audit_log.permissions import VIEW
from jobbergate_audit_log.routes import ROUTES
from jobbergate_server import Permission, Route, hookimpl


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """Return the permission to read the log."""
    return [VIEW]


@hookimpl
def register_routes() -> Sequence[Route]:
    """Return the list of entries; no route changes or deletes an entry."""
    return ROUTES


@hookimpl
def register_commands() -> Sequence[click.Command]:
    """Return the command that deletes old entries."""
    return [prune]
