"""The tables `job_scripts` and `job_script_files`."""

from tortoise import migrations
from jobbergate_server import FileField
from tortoise.migrations import operations as ops
from tortoise.fields.base import OnDelete
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    dependencies = [('applications', '0001_initial')]

    operations = [
        ops.CreateModel(
            name='JobScript',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('updated_at', fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('job_script_name', fields.CharField(db_index=True, max_length=255)),
                ('job_script_description', fields.TextField(null=True, unique=False)),
                ('job_script_owner_email', fields.CharField(db_index=True, max_length=320)),
                ('application', fields.ForeignKeyField('applications.Application', source_field='application_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name=False, on_delete=OnDelete.SET_NULL)),
                ('is_archived', fields.BooleanField(default=False, db_index=True)),
            ],
            options={'table': 'job_scripts', 'app': 'job_scripts', 'pk_attr': 'id', 'table_description': 'A script for a cluster, with supporting files.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='JobScriptFile',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('job_script', fields.ForeignKeyField('job_scripts.JobScript', source_field='job_script_id', db_index=True, db_constraint=True, to_field='id', related_name=False, on_delete=OnDelete.CASCADE)),
                ('path', fields.CharField(max_length=1024)),
                ('is_main', fields.BooleanField()),
                ('digest', FileField()),
            ],
            options={'table': 'job_script_files', 'app': 'job_scripts', 'unique_together': (('job_script', 'path'),), 'pk_attr': 'id', 'table_description': 'A file of a job script, whose content is in the file store. One file of each job script is its main file.'},
            bases=['Model'],
        ),
    ]
