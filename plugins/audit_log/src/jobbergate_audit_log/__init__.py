"""The audit log: who has changed what, and when."""

from collections.abc import Sequence

import click

from jobbergate_audit_log.commands import prune
from jobbergate_audit_log.entries import ENTRIES
from jobbergate_audit_log.permissions import VIEW
from jobbergate_audit_log.routes import ROUTES
from jobbergate_server import Journal, Models, Permission, Route, hookimpl


@hookimpl
def register_models() -> Models:
    """The table `audit_entries`."""
    return Models("jobbergate_audit_log.models", migrations="jobbergate_audit_log.migrations")


@hookimpl
def register_permissions() -> Sequence[Permission]:
    """To read the log."""
    return [VIEW]


@hookimpl
def register_routes() -> Sequence[Route]:
    """The list of entries; nothing changes or deletes one."""
    return ROUTES


@hookimpl
def register_commands() -> Sequence[click.Command]:
    """To delete old entries."""
    return [prune]


@hookimpl
def register_journal() -> Journal:
    """An entry for every event."""
    return ENTRIES
