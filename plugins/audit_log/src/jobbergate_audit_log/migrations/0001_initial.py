"""The table `audit_entries`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('event', fields.CharField(max_length=255)),
                ('resource_id', fields.CharField(null=True, max_length=255)),
                ('subject', fields.TextField(null=True, unique=False)),
                ('email', fields.CharField(null=True, max_length=320)),
                ('client_id', fields.CharField(null=True, max_length=255)),
                ('data', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={'table': 'audit_entries', 'app': 'audit_log', 'pk_attr': 'id', 'table_description': 'Something that was done: what, to what, by whom and when.'},
            bases=['Model'],
        ),
    ]
