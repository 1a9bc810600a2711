"""The permissions that a token can carry."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:webhooks:view", "Read one's own webhooks and their deliveries.")
EDIT = Permission("jobbergate:webhooks:edit", "Add webhooks. Change and delete one's own.")
