"""The table `applications`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Application',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('updated_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('application_name', fields.CharField(db_index=True, max_length=255)),
                ('application_identifier', fields.CharField(null=True, unique=True, max_length=255)),
                ('application_description', fields.TextField(null=True, unique=False)),
                ('application_owner_email', fields.CharField(db_index=True, max_length=320)),
                ('application_uploaded', fields.BooleanField(default=False, db_index=True)),
                ('is_archived', fields.BooleanField(default=False, db_index=True)),
            ],
            options={'table': 'applications', 'app': 'applications', 'pk_attr': 'id', 'table_description': 'A set of templates with their configuration, which users render into job scripts.'},
            bases=['Model'],
        ),
    ]
