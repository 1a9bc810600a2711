"""What a token can allow."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:webhooks:view", "See one's own webhooks, and what became of their deliveries.")
EDIT = Permission("jobbergate:webhooks:edit", "Add webhooks, and change and delete one's own.")
