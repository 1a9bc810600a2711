"""The tables `event_cursors` and `events`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('service', '0002_idempotency_keys')]

    operations = [
        ops.CreateModel(
            name='EventCursor',
            fields=[
                ('slug', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=255)),
                ('transaction_id', fields.BigIntField()),
                ('event_id', fields.BigIntField()),
            ],
            options={'table': 'event_cursors', 'app': 'service', 'pk_attr': 'slug', 'table_description': 'The position of a plugin in the events.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='EventRecord',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('transaction_id', fields.BigIntField()),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('type', fields.TextField(unique=False)),
                ('slug', fields.TextField(null=True, unique=False)),
                ('subject_id', fields.TextField(null=True, unique=False)),
                ('owner_email', fields.TextField(null=True, unique=False)),
                ('client_id', fields.TextField(null=True, unique=False)),
                ('actor_subject', fields.TextField(null=True, unique=False)),
                ('actor_email', fields.TextField(null=True, unique=False)),
                ('actor_client_id', fields.TextField(null=True, unique=False)),
                ('request_id', fields.TextField(null=True, unique=False)),
                ('data', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={'table': 'events', 'app': 'service', 'indexes': [Index(fields=['transaction_id', 'id'])], 'pk_attr': 'id', 'table_description': 'A committed event: its type, its subject, and its actor.'},
            bases=['Model'],
        ),
    ]
