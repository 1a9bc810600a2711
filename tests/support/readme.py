"""The examples of the README, each with the name of what it shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NAMES = (
    "make",
    "without make",
    "token",
    "curl",
    "curl's answer",
    "httpx",
    "settings file",
    "settings variables",
    "production settings",
    "production commands",
    "ready",
    "new plugin",
    "new plugin's curl",
    "new plugin's answer",
    "plugin",
    "plugin's migration",
)
# In the order of the README, so that an example without a test has no name, and stops the tests of them.
EXAMPLES = dict(zip(NAMES, re.findall(r"^```\w+\n(.*?)^```$", README, re.DOTALL | re.MULTILINE), strict=True))
