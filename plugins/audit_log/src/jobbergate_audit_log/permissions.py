"""What a token can allow."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:audit-log:view", "See who has changed what, of everybody.")
