"""Take over the table `audit_entries`, which the audit log had before the table `events`."""

from tortoise import migrations
from tortoise.migrations import operations as ops

EXISTS = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_entries'",
    "postgres": "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'audit_entries'",
}
STATEMENTS = (
    "INSERT INTO events (transaction_id, created_at, type, subject_id, owner_email, client_id, "
    "actor_subject, actor_email, actor_client_id, data) "
    "SELECT 0, created_at, event, resource_id, data->>'owner_email', data->>'client_id', "
    "subject, email, client_id, data FROM audit_entries ORDER BY id",
    "DROP TABLE audit_entries",
    "DELETE FROM installed_plugins WHERE slug = 'audit-log'",
    "DELETE FROM tortoise_migrations WHERE app = 'audit_log'",
)


async def take_over(apps, schema_editor):
    client = schema_editor.client
    _, rows = await client.execute_query(EXISTS[client.capabilities.dialect])
    for statement in STATEMENTS if rows else ():
        await client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("service", "0003_events")]

    operations = [ops.RunPython(take_over)]
