"""The permissions that a token can carry."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:applications:view", "Read the applications.")
EDIT = Permission("jobbergate:applications:edit", "Add applications. Change and delete one's own.")
