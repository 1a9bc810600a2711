"""Tokens over HTTP: which of them open a route, and that each opens what is its bearer's and nothing else."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from joserfc import jwe, jws
from joserfc.jwk import RSAKey
from promises import answered

from jobbergate_devkit.server import EMAIL
from jobbergate_devkit.testing.route_caller import RouteCaller
from jobbergate_server.app import create_app
from jobbergate_server.auth.tokens import MAX_TOKEN_LENGTH
from jobbergate_server.http.keys import SETTINGS
from jobbergate_server.plugins.contribution import CONTRIBUTIONS
from jobbergate_server.routing.route import MOUNT, WRITING
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from jobbergate_devkit.testing import Client, MakeApp, Served

LIST = "/jobbergate/job-scripts"
NOT_AUTHENTICATED = {"detail": "Not authenticated"}
SUBMISSIONS = "/jobbergate/job-submissions"


class Forge:
    """Makes tokens as the issuer does, with whatever header and claims."""

    def __init__(self, served: Served, key: RSAKey) -> None:
        self.key = key
        self.kid = key.thumbprint()
        self.claims: dict[str, Any] = {
            "iss": served.issuer.url,
            "sub": "someone",
            "email": "owner@example.com",
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
            "permissions": served.permissions,
        }

    def token(self, header: dict[str, Any] | None = None, *, key: RSAKey | None = None, **claims: object) -> str:
        """A token that is accepted, but for what is said here; a claim of None is left out."""
        payload = {name: claim for name, claim in {**self.claims, **claims}.items() if claim is not None}
        return self.signed(json.dumps(payload).encode(), header, key=key)

    def signed(self, payload: bytes, header: dict[str, Any] | None = None, *, key: RSAKey | None = None) -> str:
        """A good signature over any payload."""
        registry = jws.JWSRegistry(strict_check_header=False, algorithms=["RS256"])
        protected = {"alg": "RS256", "kid": self.kid, **(header or {})}
        signature = registry.get_alg("RS256").sign(
            signing := b".".join(_encoded(part) for part in (json.dumps(protected).encode(), payload)), key or self.key
        )
        return (signing + b"." + _encoded(signature)).decode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@pytest.fixture
def forge(served: Served, issuer_key: RSAKey) -> Forge:
    return Forge(served, issuer_key)


async def status_of(served: Served, token: str) -> int:
    """The status that a request with the token is answered with; a refusal says nothing but that it is one."""
    async with served.client().get(LIST, headers={"Authorization": f"Bearer {token}"}) as response:
        answer = await answered(response)
    assert answer.complaint is None
    if answer.status != 200:
        assert (answer.status, answer.json) == (401, NOT_AUTHENTICATED)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    return answer.status


@pytest.mark.database("sqlite")
async def test_the_forge_makes_tokens_that_are_accepted(served: Served, forge: Forge) -> None:
    assert await status_of(served, forge.token()) == 200


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
async def test_a_key_that_a_token_brings_is_not_used(served: Served, forge: Forge, name: str) -> None:
    own = RSAKey.generate_key(2048, {"kid": "evil"})
    brought = {"jwk": own.as_dict(private=False), "x5c": ["MIIB"]}.get(
        name, f"{served.server.make_url('/jobbergate/docs')}"
    )
    for kid in (forge.kid, "evil"):
        assert await status_of(served, forge.token({"kid": kid, name: brought}, key=own)) == 401
    assert await status_of(served, forge.token({name: brought})) == 200


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("crit", [["b64"], ["exp"], [], "exp", None])
async def test_what_a_token_demands_is_refused(served: Served, forge: Forge, crit: object) -> None:
    assert await status_of(served, forge.token({"crit": crit, "b64": True})) == 401


@pytest.mark.database("sqlite")
async def test_nested_and_encrypted_tokens_are_refused(served: Served, forge: Forge) -> None:
    inner = forge.token()
    assert await status_of(served, forge.signed(inner.encode(), {"cty": "JWT"})) == 401
    assert await status_of(served, forge.signed(json.dumps(inner).encode(), {"cty": "JWT"})) == 401
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": forge.kid, "cty": "JWT"}
    assert await status_of(served, jwe.encrypt_compact(header, inner, forge.key, ["RSA-OAEP-256", "A256GCM"])) == 401


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "http://127.0.0.1/keys",
        "' OR '1'='1",
        "x' UNION SELECT 'key' --",
        "a\0b",
        "a\r\nX-Injected: yes",
        "\x1b[2J",
        "\ud800",
        "$(id)",
        "x" * 10_000,
        "",
    ],
    ids=lambda kid: ascii(kid)[:30],
)
async def test_the_name_of_a_key_leads_to_the_keys_of_the_issuer_alone(served: Served, forge: Forge, kid: str) -> None:
    assert await status_of(served, forge.token({"kid": kid})) == 401


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("change", ["/", "?", "#", " ", "%2f", ".", "/../oidc", "@evil.example.com"])
async def test_the_issuer_is_compared_exactly(served: Served, forge: Forge, change: str) -> None:
    issuer = served.issuer.url
    assert await status_of(served, forge.token(iss=issuer + change)) == 401
    assert await status_of(served, forge.token(iss=[issuer])) == 401
    assert await status_of(served, forge.token(iss=issuer.upper())) == 401
    assert await status_of(served, forge.token(iss=issuer.replace("http:", "https:"))) == 401


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "Infinity", "NaN", "9" * 400, "true", "null", '"9999999999"', "[]"]
)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_a_moment_is_a_number_with_an_end(served: Served, forge: Forge, claim: str, number: str) -> None:
    claims = {name: value for name, value in forge.claims.items() if name != claim}
    payload = json.dumps(claims).removesuffix("}") + f', "{claim}": {number}}}'
    assert await status_of(served, forge.signed(payload.encode())) == 401


@pytest.mark.database("sqlite")
async def test_a_token_of_more_than_16_kib_is_refused(served: Served, forge: Forge) -> None:
    rest = len(forge.token(padding=""))
    assert await status_of(served, forge.token(padding="x" * ((MAX_TOKEN_LENGTH - rest) * 3 // 4 - 4))) == 200
    assert await status_of(served, forge.token(padding="x" * ((MAX_TOKEN_LENGTH - rest) * 3 // 4 + 4))) == 401
    assert await status_of(served, forge.token(padding="x" * MAX_TOKEN_LENGTH)) == 401


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "value",
    [
        "{}",
        "bearer",
        "Bearer",
        "Bearer ",
        "Basic {}",
        "Bearer Bearer {}",
        "Bearer {},{}",
        "Token {}",
        'Bearer token="{}"',
    ],
)
async def test_a_token_stands_alone_in_its_header(served: Served, value: str) -> None:
    token = served.token()
    async with served.client().get(LIST, headers={"Authorization": value.replace("{}", token)}) as response:
        assert (response.status, await response.json()) == (401, NOT_AUTHENTICATED)


@pytest.mark.database("sqlite")
async def test_a_token_elsewhere_opens_nothing(served: Served) -> None:
    token = served.token()
    client = served.client()
    tries = [
        client.get(LIST, params={"access_token": token}),
        client.get(LIST, headers={"Cookie": f"access_token={token}; Authorization=Bearer {token}"}),
        client.get(LIST, headers={"X-Authorization": f"Bearer {token}", "Proxy-Authorization": f"Bearer {token}"}),
        client.post(LIST, data={"access_token": token, "job_script_name": "x"}),
        client.post(LIST, json={"access_token": token, "job_script_name": "x"}),
    ]
    for attempt in tries:
        async with attempt as response:
            assert (response.status, await response.json()) == (401, NOT_AUTHENTICATED)


@pytest.mark.parametrize("slug", ["applications", "job-scripts", "job-submissions", "webhooks"])
async def test_nobody_changes_what_is_somebody_elses(make_app: MakeApp, slug: str) -> None:
    served = await make_app(samples=True)
    other = served.client_as(email="other@example.com", client_id="another-cluster")
    callers = {
        it.plugin.slug: RouteCaller(served, it, EMAIL)
        for it in served.app[CONTRIBUTIONS]
        if it.plugin.slug != "service"
    }
    for name in ("job-submissions", "webhooks"):
        create = next(it for it in callers[name].operations if it.route.method == "POST")
        assert (await callers[name].send(create)).status == 201
    tried = 0
    for operation in callers[slug].operations:
        if operation.route.method not in WRITING or not operation.has_parameters:
            continue
        tried += 1
        form = FormData(quote_fields=False)
        for field in operation.route.request_schemas["form"].load_fields if operation.takes_form else ():
            form.add_field(field, b"x = 1", filename="jobbergate.py", content_type="text/plain")
            form.add_field(field, b"x", filename="x.j2", content_type="text/plain")
        options: dict[str, Any] = {"data": form} if operation.takes_form else {"json": operation.sample}
        path = MOUNT + re.sub(r"\{[^}]*\}", "1", operation.path)
        async with other.request(operation.route.method, path, **options) as response:
            answer = await answered(response)
        assert answer.complaint is None
        assert answer.status == (404 if "/agent/" in operation.path else 403), (str(operation), answer.json)
    assert tried >= 2


async def created(client: Client, path: str, body: dict[str, object]) -> int:
    async with client.post(path, json=body) as response:
        assert response.status == 201, await response.text()
        return int((await response.json())["id"])


async def test_an_agent_sees_and_changes_its_own_clusters_submissions_alone(make_app: MakeApp) -> None:
    served = await make_app(samples=True)
    owner = served.client_as(client_id="one")
    ids = {}
    for cluster in ("one", "two"):
        body: dict[str, object] = {"job_submission_name": cluster, "job_script_id": 1, "client_id": cluster}
        ids[cluster] = await created(owner, SUBMISSIONS, body)
    for own, foreign in (("one", "two"), ("two", "one")):
        agent = served.client_as(email=None, azp=own)
        async with agent.get(f"{SUBMISSIONS}/agent/pending") as response:
            assert [it["id"] for it in await response.json()] == [ids[own]]
        report = {"new_status": "SUBMITTED", "slurm_job_id": 7, "client_id": foreign}
        async with agent.put(f"{SUBMISSIONS}/agent/{ids[foreign]}", json=report) as response:
            assert response.status == 404
        # The client id is the token's, whatever else a request says.
        headers = {"X-Client-ID": foreign}
        async with agent.get(
            f"{SUBMISSIONS}/agent/pending", params={"client_id": foreign}, headers=headers
        ) as response:
            assert [it["id"] for it in await response.json()] == [ids[own]]
    for own in ("one", "two"):
        agent = served.client_as(email=None, azp=own)
        async with agent.put(
            f"{SUBMISSIONS}/agent/{ids[own]}", json={"new_status": "SUBMITTED", "slurm_job_id": 7}
        ) as it:
            assert it.status == 200
        async with agent.get(f"{SUBMISSIONS}/agent/active") as response:
            assert [it["id"] for it in await response.json()] == [ids[own]]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("azp", [None, "", 7, ["one"], "a\0b", "x" * 256])
async def test_a_token_without_a_client_id_is_no_agents(served: Served, azp: object) -> None:
    agent = served.client({"Authorization": f"Bearer {served.token(client_id=None, azp=azp)}"})
    async with agent.get(f"{SUBMISSIONS}/agent/pending") as response:
        answer = await answered(response)
    assert answer.status in {400, 401}
    assert answer.complaint is None


AUDIENCES: dict[int, list[object]] = {
    200: ["jobbergate", ["jobbergate"], ["other", "jobbergate"]],
    401: ["Jobbergate", "jobbergate ", "jobbergate other", "*", "", None, [], ["jobbergate2"], ["jobbergate", 7], {}],
}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("status", AUDIENCES)
async def test_the_audience_is_a_whole_member_of_the_list(served: Served, forge: Forge, status: int) -> None:
    oidc = Oidc(issuer=served.issuer.url, audience="jobbergate")
    app = create_app(served.app[SETTINGS].model_copy(update={"oidc": oidc}))
    async with TestClient(TestServer(app)) as client:
        for audience in AUDIENCES[status]:
            headers = {"Authorization": f"Bearer {forge.token(aud=audience)}"}
            async with client.get(LIST, headers=headers) as response:
                assert response.status == status, audience


@pytest.mark.database("sqlite")
async def test_a_token_for_an_audience_is_refused_where_none_is_configured(served: Served, forge: Forge) -> None:
    for audience in ("jobbergate", ["jobbergate"], [], "", {"jobbergate": True}, 7):
        assert await status_of(served, forge.token(aud=audience)) == 401
