"""The permissions that a token can carry."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:job-submissions:view", "Read the job submissions.")
EDIT = Permission("jobbergate:job-submissions:edit", "Add job submissions. Change and delete one's own.")
