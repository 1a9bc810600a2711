"""The permissions that a token can carry."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:job-scripts:view", "Read the job scripts.")
EDIT = Permission("jobbergate:job-scripts:edit", "Add job scripts. Change and delete one's own.")
