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
from aiohttp.test_utils import TestClient, TestServer, unused_port

from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.auth.oidc import Provider
from jobbergate_server.auth.tokens import TokenVerifier
from jobbergate_server.issuer import Issuer
from jobbergate_server.oauth import MAX_LOGINS, OAuth
from jobbergate_server.settings import Oidc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jobbergate_server.testing import Client, Served

DEVICE = "/protocol/openid-connect/auth/device"
TOKEN = "/protocol/openid-connect/token"  # noqa: S105 - the name of a path
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT = {"client_id": "cli"}
PERMISSIONS = ["a:read", "a:write"]
EMAIL = "suggested@example.com"
FORM = "application/x-www-form-urlencoded"


class Site:
    """An issuer that is served, and the clock that its logins go by."""

    def __init__(self, issuer: Issuer, client: Client, verifier: TokenVerifier) -> None:
        self.issuer = issuer
        self.client = client
        self.verifier = verifier
        self.now = 1_000_000.0

    async def post(self, path: str, data: object, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's
        response = await self.client.post(urlsplit(self.issuer.url).path + path, data=data, **options)
        assert response.headers["Cache-Control"] == "no-store"
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

    async def approve(self, login: dict[str, Any], **typed: str) -> tuple[int, str]:
        """Send the login page's form as a browser does, with ``typed`` over what stands in it already."""
        async with self.client.get(path_and_query(login["verification_uri_complete"])) as response:
            assert response.status == 200
            page = await response.text()
        action, fields = form_of(page)
        async with self.client.post(action, data=fields | typed) as response:
            return response.status, unescape(await response.text())


def path_and_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


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


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    port = unused_port()
    issuer = Issuer.open(tmp_path, f"http://127.0.0.1:{port}/oidc")
    app = web.Application(client_max_size=64 * 1024)
    server = TestServer(app, port=port)
    async with TestClient(server) as client, Provider(issuer.url) as provider:
        yield Site(issuer, client, TokenVerifier(provider, Oidc(issuer=issuer.url)))


@pytest.fixture(autouse=True)
def _() -> None:
    """Placeholder."""


async def test_a_person_approves_and_the_device_gets_their_token_once(site: Site) -> None:
    login = await site.login()
    assert error_of(await site.poll(login)) == (400, "authorization_pending")
    status, page = await site.approve(login, email="Someone@Example.com")
    assert (status, "cli acts for Someone@Example.com now" in page) == (200, True)
    status, tokens = await site.poll(login)
    assert status == 200
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 86_400)
    identity = await site.verifier.verify(tokens["access_token"])
    assert identity == Identity("Someone@Example.com", frozenset(PERMISSIONS), "Someone@example.com", "cli")
    assert error_of(await site.poll(login)) == (400, "invalid_grant")
