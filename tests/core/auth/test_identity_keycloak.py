"""Tokens as a realm of Keycloak sends them, without mappers: the settings say what the roles in them permit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp, Served

SCRIPTS = "jobbergate:job-scripts:view"
APPLICATIONS = "jobbergate:applications:view"


@pytest.fixture
async def served(make_app: MakeApp) -> Served:
    """A server that is told of the roles of the client `jobbergate`, of which `staff` is one."""
    return await make_app(
        settings={
            "oidc": {
                "permissions_claim": ["resource_access", "jobbergate", "roles"],
                "roles": {"staff": [SCRIPTS, APPLICATIONS]},
            }
        }
    )


async def statuses(client: Client) -> tuple[int, int]:
    """What the client is answered that asks for the job scripts, and for the applications."""
    paths = ("/jobbergate/job-scripts", "/jobbergate/applications")
    scripts, applications = [(await client.get(path)).status for path in paths]
    return scripts, applications


def roles(*names: str, client: str = "jobbergate") -> dict[str, object]:
    return {"account": {"roles": ["manage-account"]}, client: {"roles": names}}


async def test_a_role_of_the_client_permits_what_the_settings_say(served: Served) -> None:
    assert await statuses(served.client_as(resource_access=roles("staff"))) == (200, 200)


async def test_a_role_without_an_entry_is_the_permission_of_its_name(served: Served) -> None:
    assert await statuses(served.client_as(resource_access=roles(SCRIPTS))) == (200, 403)


@pytest.mark.parametrize("resource_access", [{}, roles("staff", client="portal")])
async def test_the_roles_of_other_clients_and_of_the_realm_permit_nothing(
    served: Served, resource_access: dict[str, object]
) -> None:
    realm_access = {"roles": ["staff", SCRIPTS]}
    client = served.client_as(resource_access=resource_access, realm_access=realm_access)
    assert await statuses(client) == (403, 403)


async def test_roles_that_are_no_list_are_refused(served: Served) -> None:
    client = served.client_as(resource_access={"jobbergate": {"roles": "staff"}})
    answer = await client.get("/jobbergate/job-scripts")
    assert (answer.status, await answer.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize(
    ("organization", "status"),
    [(["acme"], 200), ({"acme": {"id": "7d3f"}}, 200), (["acme", "umbrella"], 401), ([], 401), ({}, 401)],
)
async def test_an_organization_is_one_in_either_shape(served: Served, organization: object, status: int) -> None:
    assert await statuses(served.client_as(organization=organization)) == (status, status)


async def test_tokens_for_tests_have_their_permissions_where_the_server_looks_for_them(served: Served) -> None:
    assert await statuses(served.client_as()) == (200, 200)
    assert await statuses(served.client_as(APPLICATIONS)) == (403, 200)
