"""A unique constraint: one delivery of a message per webhook."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint

class Migration(migrations.Migration):
    dependencies = [('webhooks', '0001_initial')]

    operations = [
        ops.AddConstraint(
            model_name='Delivery',
            constraint=UniqueConstraint(fields=('webhook', 'message_id'), name=None),
        ),
    ]
