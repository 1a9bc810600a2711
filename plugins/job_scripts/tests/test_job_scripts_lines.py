"""Lines that a caller adds to the main file of a rendering."""

from __future__ import annotations

import pytest

from jobbergate_job_scripts.rendering import with_params
from jobbergate_server import Unprocessable


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
