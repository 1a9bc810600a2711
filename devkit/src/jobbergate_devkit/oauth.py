"""The endpoints of the development issuer: discovery, keys, tokens, and a login page.

A client authenticates for itself (client credentials, RFC 6749). It also authenticates for a user, after the user's
approval on the page (device grant, RFC 8628). The login page requires no password: a development server trusts all its
users. The paths are those of Keycloak, which the command lines of Jobbergate 3.x request.
"""

import secrets
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from aiohttp import web

from jobbergate_devkit.issuer import ALGORITHM, LIFETIME, Issuer
from jobbergate_server import json_response
from jobbergate_server.auth.identity import Identity, InvalidToken
from jobbergate_server.storable import is_storable

DEVICE_PATH = "/protocol/openid-connect/auth/device"
TOKEN_PATH = "/protocol/openid-connect/token"  # noqa: S105 - the name of a path
PAGE_PATH = "/device"

REFRESH_LIFETIME = 30 * 86_400
"""Seconds that a refresh token is valid."""
LOGIN_LIFETIME = 600
"""Seconds until a login expires without approval."""
POLL_INTERVAL = 1
"""Seconds between two polls of a device for the approval; a loopback server needs no longer pause."""

MAX_LOGINS = 100
MAX_FIELDS = 100
MAX_CLIENT_ID = 255
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Letters that form no words and do not look like digits (RFC 8628, section 6.1)."""

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH = "Refresh"

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PAGE_HEADERS = NO_STORE | {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Jobbergate Server</title>
<h1>Log in</h1>
<p>{message}</p>
{form}</html>
"""
FORM = """<form method="post" action="{action}">
<p><label>Code <input name="user_code" value="{user_code}" required></label></p>
<p><label>E-mail <input name="email" value="{email}" type="email" required></label></p>
<p><button>Log in</button></p>
</form>
"""

Form = Mapping[str, str]
Answer = dict[str, object]


class OAuthError(Exception):
    """An error response (RFC 6749, section 5.2)."""

    def __init__(
        self, error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.response = json_response(
            {"error": error, "error_description": description}, status=status, headers={**NO_STORE, **(headers or {})}
        )


@dataclass(slots=True)
class Login:
    """A login of a device; ``email`` is the address of the approving user, or None."""

    client_id: str
    user_code: str
    expires: float
    email: str | None = None


class OAuth:
    """The endpoints of ``issuer``; tokens have ``permissions``, and the login page suggests ``email``.

    A shutdown discards pending logins. Access tokens and refresh tokens remain valid.
    """

    def __init__(
        self, issuer: Issuer, permissions: Sequence[str], email: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuer = issuer
        self._permissions = permissions
        self._email = email
        self._clock = clock
        self._url = issuer.url.rstrip("/")
        self._logins: dict[str, Login] = {}
        self._grants: dict[str, Callable[[Form, str | None], Answer]] = {
            DEVICE_GRANT: self._device_grant,
            "refresh_token": self._refresh_grant,
            "client_credentials": self._client_grant,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, below the path of the issuer's URL."""
        path = urlsplit(self._url).path
        return [
            web.get(f"{path}/.well-known/openid-configuration", self._discovery),
            web.get(f"{path}/jwks", self._jwks),
            web.post(path + DEVICE_PATH, refusing(self._start_login)),
            web.post(path + TOKEN_PATH, refusing(self._token)),
            web.get(path + PAGE_PATH, self._ask),
            web.post(path + PAGE_PATH, self._approve),
        ]

    async def _discovery(self, _request: web.Request) -> web.Response:
        return json_response(
            {
                "issuer": self._issuer.url,
                "jwks_uri": self._url + "/jwks",
                "token_endpoint": self._url + TOKEN_PATH,
                "device_authorization_endpoint": self._url + DEVICE_PATH,
                "grant_types_supported": list(self._grants),
                "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
                # Required by OpenID Connect Discovery; only `none` needs no authorization endpoint.
                "response_types_supported": ["none"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return json_response(self._issuer.public_keys())

    async def _start_login(self, request: web.Request) -> Answer:
        """Start the login of a device (RFC 8628, section 3.1); ignore other parameters."""
        client_id = required(client_of(request, await read_form(request)), "client_id")
        now = self._clock()
        # Expired logins are stored for the same time again, so that their devices receive `expired_token`.
        self._logins = {code: it for code, it in self._logins.items() if now < it.expires + LOGIN_LIFETIME}
        while len(self._logins) >= MAX_LOGINS:
            del self._logins[next(iter(self._logins))]
        device_code = secrets.token_urlsafe(32)
        letters = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(8))
        login = self._logins[device_code] = Login(client_id, f"{letters[:4]}-{letters[4:]}", now + LOGIN_LIFETIME)
        address = self._url + PAGE_PATH
        return {
            "device_code": device_code,
            "user_code": login.user_code,
            "verification_uri": address,
            "verification_uri_complete": f"{address}?{urlencode({'user_code': login.user_code})}",
            "expires_in": LOGIN_LIFETIME,
            "interval": POLL_INTERVAL,
        }

    async def _ask(self, request: web.Request) -> web.Response:
        user_code = request.query.get("user_code", "")
        if login := self._waiting(user_code):
            return page(f"{login.client_id} requests access on your behalf.", self._form(login.user_code, self._email))
        message = "No login is pending for this code." if user_code else "Enter the code that your device shows."
        return page(message, self._form(user_code, self._email))

    async def _approve(self, request: web.Request) -> web.Response:
        try:
            form = await read_form(request)
        except OAuthError as error:
            return page(str(error), status=400)
        user_code, email = form.get("user_code", ""), form.get("email", "").strip()
        login = self._waiting(user_code)
        if login is None:
            return page("No login is pending for this code.", self._form(user_code, email), status=400)
        try:
            Identity.from_claims({"sub": email, "email": email})
        except InvalidToken:
            return page("This is not an e-mail address.", self._form(user_code, email), status=400)
        login.email = email
        return page(f"{login.client_id} now has access on behalf of {email}. You can close this page.")

    def _form(self, user_code: str, email: str) -> str:
        action = urlsplit(self._url).path + PAGE_PATH
        return FORM.format(action=escape(action), user_code=escape(user_code), email=escape(email))

    def _waiting(self, user_code: str) -> Login | None:
        """Return the pending login of this code; ignore case and punctuation (RFC 8628, section 6.1)."""
        letters = letters_of(user_code)
        for login in self._logins.values():
            if letters_of(login.user_code) == letters and login.email is None and self._clock() < login.expires:
                return login
        return None

    async def _token(self, request: web.Request) -> Answer:
        """Return a token (RFC 6749, section 5.1) without an audience, which the development server rejects."""
        form = await read_form(request)
        client_id = client_of(request, form)
        grant = self._grants.get(required(form.get("grant_type"), "grant_type"))
        if grant is None:
            raise OAuthError("unsupported_grant_type", "Supported grant types: " + ", ".join(self._grants) + ".")
        return grant(form, client_id)

    def _device_grant(self, form: Form, client_id: str | None) -> Answer:
        device_code = required(form.get("device_code"), "device_code")
        login = self._logins.get(device_code)
        if login is None or login.client_id != required(client_id, "client_id"):
            raise OAuthError("invalid_grant", "The device_code is unknown or used, or belongs to another client.")
        if self._clock() >= login.expires:
            raise OAuthError("expired_token", "The login was not approved in time.")
        if login.email is None:
            raise OAuthError("authorization_pending", "The login is not approved yet.")
        del self._logins[device_code]
        return self._for_person(login.email, login.client_id)

    def _refresh_grant(self, form: Form, client_id: str | None) -> Answer:
        """Return a token for a refresh token, which remains valid: the command line of 3.x reuses it."""
        claims = self._issuer.verified(required(form.get("refresh_token"), "refresh_token"))
        if claims is None or claims.get("typ") != REFRESH or client_id not in (None, claims["azp"]):
            raise OAuthError(
                "invalid_grant", "The refresh_token is not valid, has expired, or belongs to another client."
            )
        return self._for_person(claims["email"], claims["azp"])

    def _client_grant(self, _form: Form, client_id: str | None) -> Answer:
        return self._bearer(email=None, client_id=required(client_id, "client_id"))

    def _for_person(self, email: str, client_id: str) -> Answer:
        # With the issuer as its audience, no server accepts it in place of an access token.
        refresh = self._issuer.token(
            email=email, client_id=client_id, lifetime=REFRESH_LIFETIME, typ=REFRESH, aud=self._issuer.url
        )
        return {**self._bearer(email=email, client_id=client_id), "refresh_token": refresh}

    def _bearer(self, *, email: str | None, client_id: str) -> Answer:
        token = self._issuer.token(email=email, client_id=client_id, permissions=self._permissions)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME}


def page(message: str, form: str = "", *, status: int = 200) -> web.Response:
    """Return the page, with ``message`` as text and ``form`` as HTML."""
    # Input can contain characters that UTF-8 cannot encode, such as surrogates.
    body = PAGE.format(message=escape(message), form=form).encode(errors="replace")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS, status=status)


def refusing(handler: Callable[[web.Request], Awaitable[Answer]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that responds with the JSON of ``handler``, or with the error that it raises."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return json_response(await handler(request), headers=NO_STORE)
        except OAuthError as error:
            return error.response

    return answer


async def read_form(request: web.Request) -> Form:
    """Return the parameters of the body; omit those without a value (RFC 6749, section 3.2).

    Raises:
        OAuthError: The body is not a form, or repeats a parameter.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    try:
        text = (await request.read()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "The body cannot be read.") from None
    except (web.RequestPayloadError, web.HTTPRequestEntityTooLarge):  # the rest of the body remains unread
        raise OAuthError("invalid_request", "The body cannot be read.", headers={"Connection": "close"}) from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise OAuthError("invalid_request", "A parameter is sent more than once.")
    return {name: value for name, value in pairs if value}


def client_of(request: web.Request, form: Form) -> str | None:
    """Return the client id of the body or of Basic authentication (RFC 6749, section 2.3.1); ignore the secret.

    Raises:
        OAuthError: The client id is not storable, or the request has two different ones.
    """
    client_id = form.get("client_id")
    if header := request.headers.get("Authorization"):
        scheme, _, credentials = header.partition(" ")
        try:
            user, _, _ = b64decode(credentials.strip(), validate=True).decode().partition(":")
            basic = unquote_plus(user, errors="strict")
        except ValueError:
            basic = ""
        if scheme.lower() != "basic" or not basic or client_id not in (None, basic):
            raise invalid_client("The Authorization header has no client_id, or another one than the body.")
        client_id = basic
    if client_id is not None and (len(client_id) > MAX_CLIENT_ID or not is_storable(client_id)):
        raise invalid_client(f"A client_id must have at most {MAX_CLIENT_ID} characters, and no NUL.")
    return client_id


def invalid_client(description: str) -> OAuthError:
    """Return the error of a client without a valid client id."""
    return OAuthError("invalid_client", description, 401, {"WWW-Authenticate": 'Basic realm="Jobbergate"'})


def required(value: str | None, name: str) -> str:
    """Return the value of the required parameter ``name``.

    Raises:
        OAuthError: The parameter is missing.
    """
    if value is None:
        raise OAuthError("invalid_request", f"{name} is missing.")
    return value


def letters_of(user_code: str) -> str:
    """Return the letters of a code that a user typed, in upper case.

    >>> letters_of("wdjb-mjht ")
    'WDJBMJHT'
    """
    return "".join(filter(str.isalpha, user_code)).upper()
