"""The permission that a token can carry."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:audit-log:view", "Read the audit log of all users.")
