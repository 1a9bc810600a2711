"""The server's own tables."""

from tortoise import Model, fields

DIGEST_LENGTH = 64
"""Characters of a SHA-256 in hexadecimal."""


class InstalledPlugin(Model):
    """A plugin that has or had tables in this database, and what belongs to it."""

    slug = fields.CharField(255, primary_key=True)
    distribution = fields.CharField(255)
    version = fields.CharField(255)
    tables: list[str] = fields.JSONField()
    permissions: list[str] = fields.JSONField()

    class Meta:
        """Tortoise's options."""

        table = "installed_plugins"


class IdempotencyKey(Model):
    """A key of a caller, the request that it was used for, and the answer to that."""

    id = fields.CharField(DIGEST_LENGTH, primary_key=True)
    fingerprint = fields.CharField(DIGEST_LENGTH)
    created_at = fields.DatetimeField(db_index=True)
    status = fields.SmallIntField()
    headers: dict[str, str] = fields.JSONField()
    body = fields.BinaryField()

    class Meta:
        """Tortoise's options."""

        table = "idempotency_keys"
