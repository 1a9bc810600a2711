"""Whatever can be made of the API document is answered as it says (Schemathesis, with every check that holds).

Each worker of pytest has a server of its own, as a user would start it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from commands import printed
from hypothesis import HealthCheck, settings
from processes import developing, origin
from schemathesis.config import SchemathesisConfig

from jobbergate_server.openapi import encoded_document
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server

SETTINGS = load_settings(oidc={"issuer": "http://127.0.0.1:8000/oidc"})
DOCUMENT = json.loads(encoded_document(collect(Plugins(discover(), SETTINGS.plugins), SETTINGS)))
EXAMPLES = int(os.environ.get("JOBBERGATE_TEST_EXAMPLES", "5"))
"""How many requests are made up for each operation, after those for every limit that the document has."""
ALREADY_NAMED = {"checks": {"unsupported_method": {"enabled": False}, "allow_header_conformance": {"enabled": False}}}
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # The wire takes numbers as texts, `yes` as true, and ignores what it does not know.
            "negative_data_rejection": {"enabled": False},
            # What a file or a URL must hold is beyond a schema, and is told with 422.
            "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 422]},
        },
        # A PUT of them reaches the report on a submission whose id would be their last word.
        "operations": [
            {"include-path": f"/job-submissions/agent/{name}", **ALREADY_NAMED} for name in ("active", "pending")
        ],
    }
)
API = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server with samples, which has logged no error when all is done."""
    with developing(tmp_path_factory.mktemp("dev")) as server:
        yield server
        assert "[error" not in server.log


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    """A token that allows everything."""
    return printed(server.folder, "token").strip()


@API.parametrize()
@settings(
    derandomize=True, max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
def test_nothing_is_answered_but_what_the_document_says(
    case: schemathesis.Case[Any], server: Server, token: str
) -> None:
    base = f"{origin(server)}/jobbergate"
    case.call_and_validate(base_url=base, headers={"Authorization": f"Bearer {token}"})
