"""Look for known vulnerabilities in a file of requirements: `python .ci/audit.py requirements.txt`.

pip-audit asks PyPI, or the service that its own environment variables name. Where that does not answer, or is a mirror
that knows of none, one line says so, and the exit status is 0: who has no way there can still check everything else.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

PATIENCE = 10
"""Seconds for the first answer; pip-audit itself takes one to start."""
TIME = 120
"""Seconds for all answers."""
OPTIONS = ("--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=5")


def main(requirements: Path) -> int:
    """The exit status, after lines that say what was found."""
    names = requirements.read_text().splitlines()
    # One question tells whether it is worth while to ask for the others.
    packages = audited(names[:1], PATIENCE) and audited(names, TIME)
    if not packages:
        click.echo("The dependencies are not audited: the vulnerability service of pip-audit does not answer.")
        return 0
    found = [line for package in packages for line in problems(package)]
    click.echo("\n".join(found) or f"None of the {len(packages)} dependencies has a known vulnerability.")
    return bool(found)


def audited(names: list[str], patience: float) -> list[dict[str, Any]]:
    """What pip-audit tells of the requirements; nothing when it learns nothing of them within ``patience`` seconds."""
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
    """A line for each reason not to ship the package."""
    if "skip_reason" in package:
        return [f"{package['name']}: {package['skip_reason']}"]
    return [
        f"{package['name']} {package['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none'}"
        for known in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
