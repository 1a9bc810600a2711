"""The delivery of mails to the mail server."""

import asyncio
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib

from jobbergate_email_notifications.settings import EmailNotifications


class NotDelivered(Exception):
    """A mail that the plugin did not deliver. The message quotes nothing of the mail."""


async def send(settings: EmailNotifications, mail: EmailMessage) -> None:
    """Deliver the mail to the mail server.

    Raises:
        NotDelivered: The mail server did not accept the mail in time.
        Exception: The mail server rejected the mail. The message may quote the mail or the credentials.
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
    # Not `async with client`: it sends QUIT even to a server that no longer responds, and waits for the reply.
    try:
        async with asyncio.timeout(settings.timeout):
            await client.connect()
            await client.send_message(mail)
        with suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=settings.timeout)
    except TimeoutError:
        raise NotDelivered(f"the mail server did not accept the mail within {settings.timeout:g} seconds") from None
    finally:
        client.close()


def reason(error: Exception) -> str:
    """Return the reason of a failure. It quotes neither the mail nor the server's reply, which may quote the mail."""
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
