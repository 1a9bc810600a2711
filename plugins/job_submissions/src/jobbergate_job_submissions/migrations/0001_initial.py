"""The table `job_submissions`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from jobbergate_job_submissions.models import Status
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    dependencies = [('job_scripts', '0001_initial')]

    operations = [
        ops.CreateModel(
            name='JobSubmission',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('updated_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('job_submission_name', fields.CharField(db_index=True, max_length=255)),
                ('job_submission_description', fields.TextField(null=True, unique=False)),
                ('job_submission_owner_email', fields.CharField(db_index=True, max_length=320)),
                ('job_script', fields.ForeignKeyField('job_scripts.JobScript', source_field='job_script_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name=False, on_delete=OnDelete.SET_NULL)),
                ('execution_directory', fields.TextField(null=True, unique=False)),
                ('slurm_job_id', fields.IntField(null=True, db_index=True)),
                ('client_id', fields.CharField(db_index=True, max_length=255)),
                ('status', fields.CharEnumField(default=Status.CREATED, db_index=True, description='CREATED: CREATED\nSUBMITTED: SUBMITTED\nCOMPLETED: COMPLETED\nFAILED: FAILED\nUNKNOWN: UNKNOWN\nREJECTED: REJECTED', enum_type=Status, max_length=16)),
                ('report_message', fields.TextField(null=True, unique=False)),
                ('execution_parameters', fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={'table': 'job_submissions', 'app': 'job_submissions', 'pk_attr': 'id', 'table_description': 'A job script to run on the cluster of a client id.'},
            bases=['Model'],
        ),
    ]
