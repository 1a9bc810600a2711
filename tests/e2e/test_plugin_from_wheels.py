"""A plugin from nothing, as its author works: in an environment of its own, with the server installed from wheels."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from readme import EXAMPLES
from workshop import Workshop

from jobbergate_devkit.new_plugin import create

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_plugin_is_made_served_changed_and_removed(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, devkit=True)
    code = workshop.folder / "acme-licences/src/acme_licences/__init__.py"
    curl = EXAMPLES["new plugin's curl"]

    workshop.shell(EXAMPLES["new plugin"])
    with workshop.developing() as address:
        answer = workshop.shell(curl.replace("127.0.0.1:8000", address))
    assert json.loads(answer) == json.loads(EXAMPLES["new plugin's answer"])

    column = "    description = columns.TextField(null=True)\n"
    code.write_text(code.read_text().replace(column, f"{column}    seats = columns.IntField(db_default=1)\n"))
    migrated = workshop.shell(EXAMPLES["plugin's migration"])
    added = "0002_add_field_seats_to_licence"
    assert migrated == f"{code.with_name('migrations')}/{added}.py\n  Add field seats to Licence\nlicences.{added}\n"

    create("rival-licences", workshop.folder)
    workshop.install("./rival-licences")
    both = "Error: slug 'licences' is brought by both 'acme-licences' and 'rival-licences'\n"
    assert workshop.fails("jobbergate-server", "serve", "--port", "0").endswith(both)

    workshop.uninstall("acme-licences", "rival-licences")
    assert {"licences", "applications"} <= workshop.tables()
    workshop.shell("jobbergate-server plugins remove licences --yes")
    assert "licences" not in workshop.tables()
