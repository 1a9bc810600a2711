"""The commands `jobbergate-server audit-log …`."""

from datetime import timedelta

import click

from jobbergate_audit_log.models import AuditEntry
from jobbergate_server import now


@click.command()
@click.option("--days", type=click.IntRange(0, 36_500), required=True, help="How old they must be.")
async def prune(days: int) -> None:
    """Delete old entries, and say how many."""
    old = AuditEntry.filter(created_at__lt=now() - timedelta(days=days))
    click.echo(f"Entries deleted: {await old.delete()}")
