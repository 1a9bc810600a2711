"""What a token can allow."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:applications:view", "See the applications.")
EDIT = Permission("jobbergate:applications:edit", "Add applications, and change and delete one's own.")
