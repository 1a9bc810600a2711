"""A mail server on loopback, with everything that it may ask for."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    MailServer = Callable[..., AbstractAsyncContextManager["Mailbox"]]

HOST = "127.0.0.1"


class Delivery(NamedTuple):
    """A mail as the server got it: from whom, to whom, and what."""

    sender: str | None
    recipients: list[str]
    mail: EmailMessage
    encrypted: bool
    user: str | None


class Mailbox:
    """What a mail server has taken."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.port = 0
        self.deliveries: list[Delivery] = []
        self._answers = answers

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take the recipient, or answer what the test wants."""
        if "RCPT" in self._answers:
            return self._answers["RCPT"].format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Take the mail, or answer what the test wants."""
        content = envelope.content
        assert isinstance(content, bytes)
        if "DATA" in self._answers:
            return self._answers["DATA"].format(content=content[-40:])
        mail = message_from_bytes(content, EmailMessage, policy=policy.SMTP)
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        user = session.auth_data.login.decode() if session.auth_data else None
        self.deliveries.append(Delivery(envelope.mail_from, envelope.rcpt_tos, mail, encrypted, user))
        return "250 OK"

    def only(self) -> EmailMessage:
        """The only mail that there is."""
        (delivery,) = self.deliveries
        return delivery.mail

    def text(self) -> str:
        """What the only mail says, whose lines end as the way there has wanted it."""
        text: str = self.only().get_content()
        return text.replace("\r\n", "\n")


def accepting(login: tuple[str, str] | None) -> dict[str, object]:
    """Options of aiosmtpd for a mail server that lets in nobody else."""
    if login is None:
        return {}

    def authenticate(_: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
        known = data == LoginPassword(*(text.encode() for text in login))
        return AuthResult(success=known, handled=False, auth_data=data)

    return {"auth_required": True, "authenticator": authenticate}


@pytest.fixture
def mail_server() -> MailServer:
    """Start a mail server, which talks TLS from the start, or after STARTTLS, or never, and may ask for a login.

    ``answers`` are what it says to RCPT and DATA instead of taking the mail.
    """

    @asynccontextmanager
    async def start(
        *,
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        answers: dict[str, str] | None = None,
    ) -> AsyncIterator[Mailbox]:
        mailbox = Mailbox(answers or {})
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {
            "hostname": "mail.example.com",
            "enable_SMTPUTF8": True,
            "loop": loop,
            "tls_context": starttls,
            "require_starttls": starttls is not None,
            **accepting(login),
        }
        server = await loop.create_server(lambda: SMTP(mailbox, **options), HOST, 0, ssl=tls)
        async with server:
            mailbox.port = server.sockets[0].getsockname()[1]
            yield mailbox

    return start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for loopback, which has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "mail.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process trust the certificate, as an operator does that has one of the site's own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def tls_context(certificate: Path) -> ssl.SSLContext:
    """The encryption of a mail server with the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
