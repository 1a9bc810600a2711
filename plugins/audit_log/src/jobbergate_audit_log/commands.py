"""The commands `jobbergate-server audit-log …`."""

from datetime import timedelta

import click

from jobbergate_server import purge_events, transaction_time


@click.command()
@click.option("--days", type=click.IntRange(0, 36_500), required=True, help="The age in days from which to delete.")
async def prune(days: int) -> None:
    """Delete old entries, and print their number. Plugins do not receive deleted events that they have not read."""
    click.echo(f"Entries deleted: {await purge_events(transaction_time() - timedelta(days=days))}")
