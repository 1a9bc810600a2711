"""The table `installed_plugins`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='InstalledPlugin',
            fields=[
                ('slug', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=255)),
                ('distribution', fields.CharField(max_length=255)),
                ('version', fields.CharField(max_length=255)),
                ('tables', fields.JSONField()),
                ('permissions', fields.JSONField()),
            ],
            options={'table': 'installed_plugins', 'app': 'service', 'pk_attr': 'slug', 'table_description': 'A plugin with tables in this database, and its tables and permissions.'},
            bases=['Model'],
        ),
    ]
