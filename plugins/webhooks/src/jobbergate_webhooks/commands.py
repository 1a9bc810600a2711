"""The commands `jobbergate-server webhooks …`."""

from datetime import timedelta

import click

from jobbergate_server import transaction_time
from jobbergate_webhooks.models import Delivery


@click.command()
@click.option(
    "--days",
    type=click.IntRange(0, 36_500),
    default=30,
    show_default=True,
    help="The age in days from which to delete.",
)
async def prune(days: int) -> None:
    """Delete old deliveries that are no longer pending, and print their number."""
    ended = Delivery.filter(next_attempt_at__isnull=True, updated_at__lt=transaction_time() - timedelta(days=days))
    click.echo(f"Deliveries deleted: {await ended.delete()}")
