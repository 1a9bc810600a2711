"""The table `licences`."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Licence',
            fields=[
                ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('feature', fields.CharField(unique=True, max_length=64)),
                ('seats', fields.IntField(db_index=True)),
            ],
            options={'table': 'licences', 'app': 'licences', 'pk_attr': 'id', 'table_description': 'The seats of a licensed feature.'},
            bases=['Model'],
        ),
    ]
