"""The development issuer: its files, its tokens, and that the server's own verifier accepts them over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from joserfc import jws
from joserfc.jwk import RSAKey
from ports import unused_port

from jobbergate_devkit.issuer import Issuer, NoIssuer
from jobbergate_devkit.oauth import OAuth
from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_aiohttp.plugin import AiohttpServer

URL = "http://127.0.0.1:8000/oidc"


@pytest.fixture
async def served(aiohttp_server: AiohttpServer, tmp_path: Path) -> Issuer:
    """An issuer that knows the URL at which it is really served."""
    port = unused_port()
    issuer = Issuer.open(tmp_path, f"http://127.0.0.1:{port}/oidc")
    app = web.Application()
    app.add_routes(OAuth(issuer, ["a:read"], "a@example.com").routes())
    await aiohttp_server(app, port=port)
    return issuer


async def test_a_token_of_the_issuer_is_accepted_over_http(served: Issuer) -> None:
    async with Provider(served.url) as provider:
        verifier = TokenVerifier(provider, Oidc(issuer=served.url))
        person = served.token(email="Someone@Example.com", permissions=["a:read"], organization={"acme": {}})
        program = served.token(client_id="agent", permissions=iter(["a:write"]), subject="robot")
        assert await verifier.verify(person) == Identity(
            "Someone@Example.com", frozenset({"a:read"}), "Someone@example.com", None, "acme"
        )
        assert await verifier.verify(program) == Identity("robot", frozenset({"a:write"}), None, "agent")
        with pytest.raises(InvalidToken, match="expired"):
            await verifier.verify(served.token(email="a@example.com", lifetime=-60))
        with pytest.raises(InvalidToken, match="aud"):
            await verifier.verify(served.token(email="a@example.com", aud="other"))


async def test_another_process_issues_tokens_that_are_accepted(served: Issuer, tmp_path: Path) -> None:
    async with Provider(served.url) as provider:
        token = Issuer.load(tmp_path).token(email="a@example.com")
        assert (await TokenVerifier(provider, Oidc(issuer=served.url)).verify(token)).email == "a@example.com"


async def test_discovery_tells_what_is_there_and_nothing_else(served: Issuer) -> None:
    assert await fetched(served.url + "/.well-known/openid-configuration") == {
        "issuer": served.url,
        "jwks_uri": served.url + "/jwks",
        "token_endpoint": served.url + "/protocol/openid-connect/token",
        "device_authorization_endpoint": served.url + "/protocol/openid-connect/auth/device",
        "grant_types_supported": [
            "urn:ietf:params:oauth:grant-type:device_code",
            "refresh_token",
            "client_credentials",
        ],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


async def test_only_the_public_part_of_the_key_is_served(served: Issuer) -> None:
    key_set = await fetched(served.url + "/jwks")
    assert [set(key) for key in key_set["keys"]] == [{"kty", "n", "e", "kid", "use", "alg"}]


async def fetched(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


def test_a_key_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    issuer = Issuer.open(tmp_path, URL)
    key = RSAKey.import_key((tmp_path / "private.pem").read_bytes())
    header = jws.extract_compact(issuer.token(email="a@example.com").encode()).headers()
    assert header == {"typ": "JWT", "alg": "RS256", "kid": key.thumbprint()}


def test_the_key_is_a_pkcs8_file_for_its_owner_only(tmp_path: Path) -> None:
    Issuer.open(tmp_path / "var" / "issuer", URL)
    files = {path.name: path for path in (tmp_path / "var" / "issuer").iterdir()}
    assert set(files) == {"private.pem", "issuer.url"}
    assert files["private.pem"].stat().st_mode & 0o777 == 0o600
    assert files["private.pem"].read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert files["issuer.url"].read_text() == URL + "\n"


def test_a_restart_keeps_the_key_and_takes_the_new_url(tmp_path: Path) -> None:
    Issuer.open(tmp_path, URL)
    key = (tmp_path / "private.pem").read_bytes()
    Issuer.open(tmp_path, "http://127.0.0.1:9000/oidc")
    assert (tmp_path / "private.pem").read_bytes() == key
    assert Issuer.load(tmp_path).url == "http://127.0.0.1:9000/oidc"


def test_processes_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from jobbergate_devkit.issuer import Issuer

sys.stdin.readline()
print(Issuer.open(Path(sys.argv[1]), "http://127.0.0.1:8000/oidc").token(email="a@example.com").partition(".")[0])
"""
    processes = [
        subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("start\n")
        process.stdin.flush()
    headers = {process.communicate(timeout=30)[0] for process in processes}
    assert len(headers) == 1
    assert "" not in headers
    assert {path.name for path in tmp_path.iterdir()} == {"private.pem", "issuer.url"}


@pytest.mark.parametrize("missing", ["private.pem", "issuer.url"])
def test_without_an_issuer_the_user_is_told_what_to_do(tmp_path: Path, missing: str) -> None:
    Issuer.open(tmp_path, URL)
    (tmp_path / missing).unlink()
    with pytest.raises(NoIssuer) as failure:
        Issuer.load(tmp_path)
    assert str(failure.value) == f"No development issuer in {tmp_path}: start `jobbergate-server dev` first."


def test_a_token_holds_the_claims_that_were_asked_for(tmp_path: Path) -> None:
    issuer = Issuer.open(tmp_path, URL)
    before = int(time.time())
    claims = payload(issuer.token(email="a@example.com", client_id="cli", permissions=["a:read"], jti="7"))
    assert before <= claims.pop("iat") <= claims.pop("exp") - 86_400 <= time.time()
    assert claims == {
        "iss": URL,
        "sub": "a@example.com",
        "email": "a@example.com",
        "azp": "cli",
        "permissions": ["a:read"],
        "jti": "7",
    }


def test_permissions_stand_where_the_server_looks_for_them(tmp_path: Path) -> None:
    Issuer.open(tmp_path, URL)
    issuer = Issuer.load(tmp_path, ["resource_access", "jobbergate", "roles"])
    claims = payload(issuer.token(permissions=["a:read"]))
    assert claims["resource_access"] == {"jobbergate": {"roles": ["a:read"]}}
    assert "permissions" not in claims


def test_only_valid_tokens_of_its_own_are_verified(tmp_path: Path) -> None:
    issuer, other = Issuer.open(tmp_path / "own", URL), Issuer.open(tmp_path / "other", URL)
    token = issuer.token(email="a@example.com")
    assert issuer.verified(token) == payload(token)
    assert issuer.verified(issuer.token(email="a@example.com", lifetime=-1)) is None
    assert issuer.verified(other.token(email="a@example.com")) is None
    header, claims, signature = token.split(".")
    assert issuer.verified(f"{header}.{claims}x.{signature}") is None
    for nonsense in ("", ".", "..", "...", "a.b.c", "é.é.é", "\0", "x" * 100_000, "." * 100_000):
        assert issuer.verified(nonsense) is None


def payload(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = orjson.loads(jws.extract_compact(token.encode()).payload)
    return claims
