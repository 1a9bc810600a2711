"""What a token can allow."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:job-submissions:view", "See the job submissions.")
EDIT = Permission("jobbergate:job-submissions:edit", "Add job submissions, and change and delete one's own.")
