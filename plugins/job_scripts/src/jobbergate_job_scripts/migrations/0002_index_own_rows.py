"""An index for lists of one owner's job scripts."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('job_scripts', '0001_initial')]

    operations = [
        ops.AddIndex(
            model_name='JobScript',
            index=Index(fields=['job_script_owner_email', 'id']),
        ),
    ]
