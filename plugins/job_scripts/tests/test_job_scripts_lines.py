"""Lines that a caller adds to the main file of a rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobbergate_job_scripts.rendering import with_params
from jobbergate_server import Unprocessable

if TYPE_CHECKING:
    from conftest import Call

SCRIPTS = "/jobbergate/job-scripts"


@pytest.mark.parametrize(
    ("script", "result"),
    {
        "after the first line that holds the marker": ("#!a\n#SBATCH 1\n#SBATCH 2\nx", "#!a\n#SBATCH 1\n+#SBATCH 2\nx"),
        "wherever the marker stands": ("a\necho '#SBATCH'\n#SBATCH 1\n", "a\necho '#SBATCH'\n+#SBATCH 1\n"),
        "before an open last line": ("#!a\n#SBATCH 1", "#!a\n+#SBATCH 1"),
        "before an only line": ("#SBATCH 1", "+#SBATCH 1"),
        "after a closed last line": ("#SBATCH 1\n\n", "#SBATCH 1\n+\n"),
        "after the shebang": ("#!/bin/bash\necho\n", "#!/bin/bash\n+echo\n"),
        "after an open shebang": ("#!/bin/bash", "#!/bin/bash\n+"),
        "at the top": ("echo\n#!x\n", "+echo\n#!x\n"),
        "at the top of nothing": ("", "+"),
    }.values(),
)
def test_added_lines_stand_where_they_are_read(script: str, result: str) -> None:
    lines = "#SBATCH -n 1\n#SBATCH --x='a b' # c\n"
    assert with_params(script, ["-n 1", "--x='a b' # c"]) == result.replace("+", lines)
    assert with_params(script, []) == script


@pytest.mark.parametrize("param", ["-n 1\n-n 2", "-n 1\r", "\n", "a\r\nb"])
def test_an_added_line_is_one_line(param: str) -> None:
    with pytest.raises(Unprocessable, match=r"^sbatch_params: "):
        with_params("x", ["-c 1", param])


async def test_a_script_with_an_added_line_of_two_is_refused(call: Call, app: int) -> None:
    sent = {"job_script_name": "js", "application_id": app, "sbatch_params": ["-c 1", "-n 1\n-n 2"]}
    status, reply = await call("POST", SCRIPTS, json=sent)
    assert (status, reply["detail"].partition(": ")[0]) == (422, "sbatch_params")


async def test_an_added_line_holds_text_that_can_be_stored(call: Call, app: int) -> None:
    for param in ("a\0b", "\ud800"):
        sent = {"job_script_name": "js", "application_id": app, "sbatch_params": [param]}
        status, reply = await call("POST", SCRIPTS, json=sent)
        assert (status, reply["detail"][0]["loc"]) == (422, ["body", "sbatch_params", 0])
