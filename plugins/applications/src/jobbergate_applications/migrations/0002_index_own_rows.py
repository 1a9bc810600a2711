"""An index for lists of one owner's applications."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('applications', '0001_initial')]

    operations = [
        ops.AddIndex(
            model_name='Application',
            index=Index(fields=['application_owner_email', 'id']),
        ),
    ]
