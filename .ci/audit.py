"""A check of a requirements file for known vulnerabilities: `python .ci/audit.py requirements.txt`.

pip-audit queries PyPI, or the service in its own environment variables. If the service does not respond, or is a mirror
without vulnerability data, the script prints one line and exits with status 0. The remaining checks then run offline.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

PATIENCE = 10
"""Seconds for the first response, including a second for the start of pip-audit."""
TIME = 120
"""Seconds for all responses."""
OPTIONS = ("--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=5")


def main(requirements: Path) -> int:
    """Print the vulnerabilities, and return the exit status."""
    names = requirements.read_text().splitlines()
    # One request shows whether the service responds at all.
    packages = audited(names[:1], PATIENCE) and audited(names, TIME)
    if not packages:
        click.echo("The dependencies are not audited: the vulnerability service of pip-audit does not respond.")
        return 0
    found = [line for package in packages for line in problems(package)]
    click.echo("\n".join(found) or f"None of the {len(packages)} dependencies has a known vulnerability.")
    return bool(found)


def audited(names: list[str], patience: float) -> list[dict[str, Any]]:
    """Return pip-audit's report, or an empty list without vulnerability data within ``patience`` seconds."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text("\n".join(names))
        command = [sys.executable, "-m", "pip_audit", *OPTIONS, "--requirement", str(file)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)  # noqa: S603 - pip-audit
        except subprocess.TimeoutExpired:
            return []
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"] if done.stdout else []
    return packages if any("vulns" in package for package in packages) else []


def problems(package: dict[str, Any]) -> list[str]:
    """Return a line for each reason not to ship the package."""
    if "skip_reason" in package:
        return [f"{package['name']}: {package['skip_reason']}"]
    return [
        f"{package['name']} {package['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none'}"
        for known in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
