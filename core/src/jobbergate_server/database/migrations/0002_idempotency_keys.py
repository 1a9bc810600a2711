"""The table `idempotency_keys`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    dependencies = [('service', '0001_initial')]

    initial = False

    operations = [
        ops.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ('fingerprint', fields.CharField(max_length=64)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('status', fields.SmallIntField()),
                ('headers', fields.JSONField()),
                ('body', fields.BinaryField()),
            ],
            options={'table': 'idempotency_keys', 'app': 'service', 'pk_attr': 'id', 'table_description': 'A key of a caller, the fingerprint of its request, and the response.'},
            bases=['Model'],
        ),
    ]
