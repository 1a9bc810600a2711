"""The tables `webhooks` and `webhook_deliveries`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from jobbergate_webhooks.models import Status
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Webhook',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('updated_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('owner_email', fields.CharField(db_index=True, max_length=320)),
                ('url', fields.CharField(max_length=2048)),
                ('events', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('secret', fields.CharField(max_length=64)),
                ('is_enabled', fields.BooleanField(default=True)),
            ],
            options={'table': 'webhooks', 'app': 'webhooks', 'pk_attr': 'id', 'table_description': 'A URL that receives events about the resources of its owner.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Delivery',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('updated_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('webhook', fields.ForeignKeyField('webhooks.Webhook', source_field='webhook_id', db_index=True, db_constraint=True, to_field='id', related_name=False, on_delete=OnDelete.CASCADE)),
                ('message_id', fields.CharField(max_length=64)),
                ('event', fields.CharField(max_length=255)),
                ('payload', fields.TextField(unique=False)),
                ('status', fields.CharEnumField(default=Status.PENDING, description='PENDING: pending\nDELIVERED: delivered\nFAILED: failed', enum_type=Status, max_length=16)),
                ('attempts', fields.IntField(default=0)),
                ('next_attempt_at', fields.DatetimeField(null=True, db_index=True, auto_now=False, auto_now_add=False)),
                ('response_status', fields.IntField(null=True)),
                ('error', fields.TextField(null=True, unique=False)),
            ],
            options={'table': 'webhook_deliveries', 'app': 'webhooks', 'pk_attr': 'id', 'table_description': 'The delivery of an event to a webhook: pending, delivered or failed.'},
            bases=['Model'],
        ),
    ]
