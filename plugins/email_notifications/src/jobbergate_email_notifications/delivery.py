"""The way of a mail to the mail server."""

import asyncio
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib

from jobbergate_email_notifications.settings import EmailNotifications


class NotDelivered(Exception):
    """A mail that nobody can send; the text quotes nothing of it."""


async def send(settings: EmailNotifications, mail: EmailMessage) -> None:
    """Hand the mail to the mail server.

    Raises:
        NotDelivered: It has not taken the mail within the time that it has for that.
        Exception: It has not taken the mail; the text may quote it, or the login.
    """
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        username=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        timeout=None,
    )
    # Not `async with client`, which takes leave even of a server that has stopped to answer, and waits for its reply.
    try:
        async with asyncio.timeout(settings.timeout):
            await client.connect()
            await client.send_message(mail)
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=settings.timeout)
    except TimeoutError:
        raise NotDelivered(f"the mail server took longer than {settings.timeout:g} seconds") from None
    finally:
        client.close()


def reason(error: Exception) -> str:
    """Why a mail was not sent, in words that quote neither the mail nor what the server says, which may quote both."""
    match error:
        case NotDelivered():
            return str(error)
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refused, *_]):
            return f"{type(refused).__name__} {refused.code}"
        case aiosmtplib.SMTPResponseException():
            return f"{type(error).__name__} {error.code}"
        case aiosmtplib.SMTPException() | OSError() if str(error):
            return f"{type(error).__name__}: {error}"
        case _:
            return type(error).__name__
