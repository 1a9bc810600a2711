"""What a token can allow."""

from jobbergate_server import Permission

VIEW = Permission("jobbergate:job-scripts:view", "See the job scripts.")
EDIT = Permission("jobbergate:job-scripts:edit", "Add job scripts, and change and delete one's own.")
