"""The tables `applications` and `application_files`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from jobbergate_applications.models import Kind
from jobbergate_server import FileField
from tortoise.fields.base import OnDelete
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
        ops.CreateModel(
            name='ApplicationFile',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('application', fields.ForeignKeyField('applications.Application', source_field='application_id', db_index=True, db_constraint=True, to_field='id', related_name=False, on_delete=OnDelete.CASCADE)),
                ('kind', fields.CharEnumField(description='SOURCE: source\nCONFIG: config\nTEMPLATE: template', enum_type=Kind, max_length=16)),
                ('name', fields.CharField(max_length=255)),
                ('digest', FileField()),
            ],
            options={'table': 'application_files', 'app': 'applications', 'unique_together': (('application', 'kind', 'name'),), 'pk_attr': 'id', 'table_description': 'A file of an application, whose content is in the file store.'},
            bases=['Model'],
        ),
    ]
