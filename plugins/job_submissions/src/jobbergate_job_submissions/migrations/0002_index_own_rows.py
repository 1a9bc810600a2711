"""Indexes for lists of one owner's submissions, and of one cluster's submissions by status."""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('job_submissions', '0001_initial')]

    operations = [
        ops.AddIndex(
            model_name='JobSubmission',
            index=Index(fields=['job_submission_owner_email', 'id']),
        ),
        ops.AddIndex(
            model_name='JobSubmission',
            index=Index(fields=['client_id', 'status', 'id']),
        ),
    ]
