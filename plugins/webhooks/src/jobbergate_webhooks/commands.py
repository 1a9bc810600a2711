"""The commands `jobbergate-server webhooks …`."""

from datetime import timedelta

import click

from jobbergate_server import transaction_time
from jobbergate_webhooks.models import Delivery


@click.command()
@click.option(
    "--days", type=click.IntRange(0, 36_500), default=30, show_default=True, help="How long ago they must have ended."
)
async def prune(days: int) -> None:
    """Delete deliveries that ended long ago, and say how many."""
    ended = Delivery.filter(next_attempt_at__isnull=True, updated_at__lt=transaction_time() - timedelta(days=days))
    click.echo(f"Deliveries deleted: {await ended.delete()}")
