"""Logging in at the development issuer: devices and people, refreshing, programs, and whatever else is sent there."""

from __future__ import annotations

import gzip
import random
import re
from base64 import b64encode
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from ports import unused_port

from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.oauth import LOGIN_LIFETIME, MAX_LOGINS, OAuth
from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jobbergate_devkit.testing import Client, Served

DEVICE = "/protocol/openid-connect/auth/device"
TOKEN = "/protocol/openid-connect/token"  # noqa: S105 - the name of a path
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT = {"client_id": "cli"}
PERMISSIONS = ["a:read", "a:write"]
EMAIL = "suggested@example.com"
FORM = "application/x-www-form-urlencoded"


class Site:
    """An issuer that is served, a client of it, and the clock that its logins go by."""

    def __init__(self, issuer: Issuer, client: Client, verifier: TokenVerifier, now: list[float]) -> None:
        self.issuer = issuer
        self.client = client
        self.verifier = verifier
        self.now = now
        self.path = urlsplit(issuer.url).path

    async def post(self, path: str, data: object, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's
        """Status and JSON of the answer, which nobody may keep."""
        async with self.client.post(self.path + path, data=data, **options) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.content_type == "application/json"
            return response.status, await response.json()

    async def login(self, **parameters: str) -> dict[str, Any]:
        """Start a login; the parameters are those of the command line of 3.x unless others are told."""
        sent = CLIENT | {"grant_type": "client_credentials", "audience": "https://example.com"} | parameters
        status, answer = await self.post(DEVICE, sent)
        assert status == 200
        started: dict[str, Any] = answer
        return started

    async def poll(self, login: dict[str, Any], **parameters: str) -> tuple[int, Any]:
        """Ask for the token of a login."""
        sent = CLIENT | {"grant_type": DEVICE_GRANT, "device_code": login["device_code"]} | parameters
        return await self.post(TOKEN, sent)

    async def page(self, url: str) -> str:
        """The page at a URL of the issuer."""
        async with self.client.get(urlsplit(url)._replace(scheme="", netloc="").geturl()) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert "form-action 'self'" in response.headers["Content-Security-Policy"]
            return await response.text()

    async def approve(self, login: dict[str, Any], **typed: str) -> tuple[int, str]:
        """Send the form of the login's page as a browser does, with ``typed`` over what stands in it already."""
        action, fields = form_of(await self.page(login["verification_uri_complete"]))
        async with self.client.post(action, data=fields | typed) as response:
            return response.status, unescape(await response.text())

    async def tokens(self) -> dict[str, Any]:
        """The answer at the end of a login."""
        login = await self.login()
        assert (await self.approve(login))[0] == 200
        status, tokens = await self.poll(login)
        assert status == 200
        received: dict[str, Any] = tokens
        return received

    async def refresh(self, refresh_token: str, **parameters: str) -> tuple[int, Any]:
        """Ask for another token, with the parameters of the command line of 3.x."""
        sent = {"grant_type": "refresh_token", "audience": "https://example.com", "refresh_token": refresh_token}
        return await self.post(TOKEN, CLIENT | sent | parameters)


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Where the form of the page is sent to, and what stands in its fields."""
    (action,) = re.findall(r'<form method="post" action="([^"]*)">', page)
    fields = re.findall(r'<input name="([^"]*)" value="([^"]*)"', page)
    return unescape(action), {name: unescape(value) for name, value in fields}


def error_of(answer: tuple[int, Any]) -> tuple[int, str]:
    """Status and name of an error, which has a description in the letters that RFC 6749 allows."""
    status, body = answer
    assert set(body) == {"error", "error_description"}
    assert re.fullmatch(r"[ !#-\[\]-~]+", body["error_description"])
    return status, body["error"]


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(credentials.encode()).decode()}


@pytest.fixture(scope="module")
def issuer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the issuer keeps its key; making one takes longer than a test."""
    return tmp_path_factory.mktemp("issuer")


@pytest.fixture
async def site(issuer_directory: Path) -> AsyncIterator[Site]:
    port = unused_port()
    issuer = Issuer.open(issuer_directory, f"http://127.0.0.1:{port}/oidc")
    now = [1_000_000.0]
    app = web.Application(client_max_size=64 * 1024)
    app.add_routes(OAuth(issuer, PERMISSIONS, EMAIL, clock=lambda: now[0]).routes())
    async with TestClient(TestServer(app, port=port)) as client, Provider(issuer.url) as provider:
        yield Site(issuer, client, TokenVerifier(provider, Oidc(issuer=issuer.url)), now)


async def test_a_device_gets_the_token_of_the_person_who_approves_and_gets_it_once(site: Site) -> None:
    login = await site.login()
    assert error_of(await site.poll(login)) == (400, "authorization_pending")
    status, page = await site.approve(login, email="Someone@Example.com")
    assert (status, "cli now has access on behalf of Someone@Example.com" in page) == (200, True)
    status, tokens = await site.poll(login)
    assert (status, set(tokens)) == (200, {"access_token", "token_type", "expires_in", "refresh_token"})
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 86_400)
    identity = await site.verifier.verify(tokens["access_token"])
    assert identity == Identity("Someone@Example.com", frozenset(PERMISSIONS), "Someone@example.com", "cli")
    assert error_of(await site.poll(login)) == (400, "invalid_grant")


async def test_a_login_tells_the_device_where_a_person_approves(site: Site) -> None:
    login = await site.login()
    url = site.issuer.url + "/device"
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", login["user_code"])
    assert login == {
        "device_code": login["device_code"],
        "user_code": login["user_code"],
        "verification_uri": url,
        "verification_uri_complete": f"{url}?user_code={login['user_code']}",
        "expires_in": 600,
        "interval": 1,
    }
    assert form_of(await site.page(url))[1] == {"user_code": "", "email": EMAIL}
    page = await site.page(login["verification_uri_complete"])
    assert form_of(page)[1] == {"user_code": login["user_code"], "email": EMAIL}
    assert "cli requests access on your behalf." in page


async def test_a_code_may_be_typed_carelessly(site: Site) -> None:
    login = await site.login()
    typed = f" {login['user_code'].lower().replace('-', ' ')} "
    assert (await site.approve(login, user_code=typed))[0] == 200
    assert (await site.poll(login))[0] == 200


@pytest.mark.parametrize("typed", [{"user_code": "AAAA-AAAA"}, {"user_code": ""}, {"email": "nobody"}, {"email": ""}])
async def test_what_is_typed_wrongly_approves_nothing_and_can_be_corrected(site: Site, typed: dict[str, str]) -> None:
    login = await site.login()
    status, page = await site.approve(login, **typed)
    assert status == 400
    _, fields = form_of(page)
    assert fields == {"user_code": login["user_code"], "email": EMAIL} | typed
    assert error_of(await site.poll(login)) == (400, "authorization_pending")


async def test_a_login_is_approved_once(site: Site) -> None:
    login = await site.login()
    assert (await site.approve(login, email="first@example.com"))[0] == 200
    code = {"user_code": login["user_code"], "email": "second@example.com"}
    async with site.client.post(site.path + "/device", data=code) as response:
        assert response.status == 400
    _, tokens = await site.poll(login)
    assert (await site.verifier.verify(tokens["access_token"])).email == "first@example.com"


async def test_a_login_is_over_after_ten_minutes_approved_or_not(site: Site) -> None:
    forgotten, approved = await site.login(), await site.login()
    await site.approve(approved)
    site.now[0] += LOGIN_LIFETIME
    assert error_of(await site.poll(forgotten)) == (400, "expired_token")
    assert error_of(await site.poll(approved)) == (400, "expired_token")
    assert "No login is pending for this code." in await site.page(forgotten["verification_uri_complete"])
    await site.login()
    assert error_of(await site.poll(forgotten)) == (400, "expired_token")
    site.now[0] += LOGIN_LIFETIME
    await site.login()
    assert error_of(await site.poll(forgotten)) == (400, "invalid_grant")


async def test_logins_are_separate_and_bound_to_their_clients(site: Site) -> None:
    mine, yours = await site.login(), await site.login(client_id="other")
    await site.approve(yours)
    assert error_of(await site.poll(yours)) == (400, "invalid_grant")
    assert error_of(await site.poll(mine)) == (400, "authorization_pending")
    assert (await site.poll(yours, client_id="other"))[0] == 200


async def test_logins_that_nobody_ends_do_not_pile_up(site: Site) -> None:
    first = await site.login()
    second = await site.login()
    for _ in range(MAX_LOGINS - 1):
        last = await site.login()
    assert error_of(await site.poll(first)) == (400, "invalid_grant")
    assert error_of(await site.poll(second)) == (400, "authorization_pending")
    assert error_of(await site.poll(last)) == (400, "authorization_pending")


async def test_what_a_client_calls_itself_is_text_on_the_page(site: Site) -> None:
    login = await site.login(client_id="<script>alert('ß')</script>")
    page = await site.page(login["verification_uri_complete"])
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    hostile = await site.page(f"{site.issuer.url}/device?user_code=%22%3E%3Cscript%3E&user_code=%ED%A0%80")
    assert form_of(hostile)[1]["user_code"] == '"><script>'
    assert "<script" not in hostile


async def test_refreshing_gives_another_token_of_the_same_person_as_often_as_asked(site: Site) -> None:
    tokens = await site.tokens()
    for _ in range(2):
        status, renewed = await site.refresh(tokens["refresh_token"])
        assert (status, set(renewed)) == (200, set(tokens))
        identity = await site.verifier.verify(renewed["access_token"])
        assert identity == Identity(EMAIL, frozenset(PERMISSIONS), EMAIL, "cli")
    assert (await site.refresh(renewed["refresh_token"]))[0] == 200


async def test_a_refresh_token_outlives_the_process_that_gave_it(site: Site, issuer_directory: Path) -> None:
    refresh_token = (await site.tokens())["refresh_token"]
    port = unused_port()
    issuer = Issuer.open(issuer_directory, f"http://127.0.0.1:{port}/oidc")
    app = web.Application()
    app.add_routes(OAuth(issuer, PERMISSIONS, EMAIL).routes())
    async with TestClient(TestServer(app, port=port)) as client:
        sent = CLIENT | {"grant_type": "refresh_token", "refresh_token": refresh_token}
        async with client.post("/oidc" + TOKEN, data=sent) as response:
            assert response.status == 200


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(site: Site) -> None:
    tokens = await site.tokens()
    with pytest.raises(InvalidToken, match="aud"):
        await site.verifier.verify(tokens["refresh_token"])
    assert error_of(await site.refresh(tokens["access_token"])) == (400, "invalid_grant")


async def test_a_refresh_token_is_refused_to_others_and_when_it_is_over_or_forged(site: Site, tmp_path: Path) -> None:
    tokens = await site.tokens()
    over = site.issuer.token(email=EMAIL, client_id="cli", typ="Refresh", lifetime=-1)
    forged = Issuer.open(tmp_path / "other", site.issuer.url).token(email=EMAIL, client_id="cli", typ="Refresh")
    assert error_of(await site.refresh(tokens["refresh_token"], client_id="other")) == (400, "invalid_grant")
    assert error_of(await site.refresh(over)) == (400, "invalid_grant")
    assert error_of(await site.refresh(forged)) == (400, "invalid_grant")
    assert error_of(await site.refresh("nonsense")) == (400, "invalid_grant")


@pytest.mark.parametrize("audience", [{}, {"audience": "https://example.com", "scope": "openid profile"}])
async def test_a_program_gets_a_token_by_its_id_with_any_secret(site: Site, audience: dict[str, str]) -> None:
    grant = {"grant_type": "client_credentials"} | audience
    for sent, headers in (
        ({"client_id": "my cluster"}, {}),
        ({"client_id": "my cluster", "client_secret": "any"}, {}),
        ({}, basic("my+cluster:any")),
        ({"client_id": "my cluster"}, basic("my%20cluster:")),
    ):
        status, answer = await site.post(TOKEN, grant | sent, headers=headers)
        assert (status, set(answer)) == (200, {"access_token", "token_type", "expires_in"})
        identity = await site.verifier.verify(answer["access_token"])
        assert identity == Identity("my cluster", frozenset(PERMISSIONS), None, "my cluster")


@pytest.mark.parametrize(
    ("sent", "headers", "error"),
    [
        ({}, {}, (400, "invalid_request")),
        ({"grant_type": ""}, {}, (400, "invalid_request")),
        ({"grant_type": "password", "client_id": "cli"}, {}, (400, "unsupported_grant_type")),
        ({"grant_type": "client_credentials"}, {}, (400, "invalid_request")),
        ({"grant_type": "client_credentials", "client_id": "x" * 256}, {}, (401, "invalid_client")),
        ({"grant_type": "client_credentials", "client_id": "a\0b"}, {}, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, {"Authorization": "Bearer x"}, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, {"Authorization": "Basic é"}, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, {"Authorization": "Basic"}, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, basic(":secret"), (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, basic("%FF:"), (401, "invalid_client")),
        ({"grant_type": "client_credentials", "client_id": "one"}, basic("other:"), (401, "invalid_client")),
        ({"grant_type": DEVICE_GRANT, "client_id": "cli"}, {}, (400, "invalid_request")),
        ({"grant_type": DEVICE_GRANT, "client_id": "cli", "device_code": "x"}, {}, (400, "invalid_grant")),
        ({"grant_type": "refresh_token", "client_id": "cli"}, {}, (400, "invalid_request")),
    ],
)
async def test_what_the_token_endpoint_refuses(
    site: Site, sent: dict[str, str], headers: dict[str, str], error: tuple[int, str]
) -> None:
    assert error_of(await site.post(TOKEN, sent, headers=headers)) == error


async def test_a_client_that_is_refused_is_told_how_to_authenticate(site: Site) -> None:
    sent = {"grant_type": "client_credentials"}
    async with site.client.post(site.path + TOKEN, data=sent, headers={"Authorization": "Digest x"}) as response:
        assert response.headers["WWW-Authenticate"] == 'Basic realm="Jobbergate"'


async def test_a_device_without_a_client_id_is_refused(site: Site) -> None:
    assert error_of(await site.post(DEVICE, {"grant_type": "client_credentials"})) == (400, "invalid_request")


@pytest.mark.parametrize("path", [DEVICE, TOKEN, "/device"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, b""),
        (FORM, b"\xff\xfe"),
        (FORM, b"client_id=%FF"),
        (FORM, b"client_id=a&client_id=a"),
        (FORM, b"&".join(b"%d=" % number for number in range(101))),
        (FORM, b"client_id=" + b"x" * 100_000),
        (FORM + "; charset=nonsense", b"\xff"),
        ("application/json", b'{"client_id": "a"}'),
        ("multipart/form-data", b"client_id=a"),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
        ("nonsense", b"client_id=a"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(site: Site, path: str, content_type: str, body: bytes) -> None:
    async with site.client.post(site.path + path, data=body, headers={"Content-Type": content_type}) as response:
        assert response.status == 400
        if path != "/device":
            assert (await response.json())["error"] == "invalid_request"


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"client_id=" + b"x" * 1_000_000)])
async def test_a_body_that_cannot_be_unpacked_is_refused(site: Site, body: bytes) -> None:
    headers = {"Content-Type": FORM, "Content-Encoding": "gzip"}
    assert error_of(await site.post(TOKEN, body, headers=headers)) == (400, "invalid_request")


async def test_nothing_that_is_sent_breaks_the_endpoints(site: Site) -> None:
    chance = random.Random(3)  # noqa: S311 - the same values at every run
    names = ["grant_type", "client_id", "client_secret", "device_code", "refresh_token", "user_code", "email", "scope"]
    tokens = await site.tokens()
    login = await site.login()
    values = [*tokens.values(), *login.values(), *site_grants(), "", "\0", "ß", "a@b", "\U0001f600", "x" * 9_000]
    for _ in range(300):
        sent = {name: str(chance.choice(values)) for name in names if chance.random() < 0.7}
        body = urlencode(sent).encode()
        if chance.random() < 0.3:
            body = bytes(chance.choice([byte, chance.randrange(256)]) for byte in body)
        for path in (DEVICE, TOKEN, "/device"):
            async with site.client.post(site.path + path, data=body, headers={"Content-Type": FORM}) as response:
                assert response.status < 500, (path, body)


def site_grants() -> list[str]:
    return ["client_credentials", "refresh_token", DEVICE_GRANT, "password"]


async def test_tokens_of_a_development_server_allow_all_that_its_plugins_have(served: Served) -> None:
    client = served.client()
    sent = {"grant_type": "client_credentials", "client_id": "cluster"}
    async with client.post("/oidc" + TOKEN, data=sent) as response:
        token = (await response.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("applications", "job-scripts", "job-submissions/agent/pending"):
        async with client.get(f"/jobbergate/{path}", headers=headers) as response:
            assert response.status == 200
