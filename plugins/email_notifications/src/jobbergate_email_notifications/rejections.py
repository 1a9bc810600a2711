"""The mail to the owner of a rejected job submission."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Any

import structlog

from jobbergate_email_notifications.delivery import NotDelivered, reason, send
from jobbergate_email_notifications.settings import EmailNotifications, address

log = structlog.get_logger()


async def notify(settings: EmailNotifications, rejection: Mapping[str, Any]) -> None:
    """Send the owner a mail, without retries. Log a failure."""
    if not rejection["report_message"]:
        return
    try:
        await send(settings, rejection_mail(settings.sender or "", rejection))
    except Exception as error:  # noqa: BLE001 - the text of any error may quote the mail or the credentials
        log.error("mail not sent", job_submission_id=rejection["id"], reason=reason(error))  # noqa: TRY400 - likewise
    else:
        log.info("mail sent", job_submission_id=rejection["id"])


def rejection_mail(sender: str, rejection: Mapping[str, Any]) -> EmailMessage:
    """Return the mail to the owner.

    Raises:
        NotDelivered: The owner is not a valid e-mail address.
    """
    try:
        owner = address(rejection["owner_email"])
    except ValueError:
        raise NotDelivered("the owner's address is not an e-mail address") from None
    mail = EmailMessage()
    mail["From"] = origin = address(sender)
    mail["To"] = owner
    mail["Subject"] = f"Job Submission Rejected (id={rejection['id']})"
    mail["Date"] = datetime.now(UTC)
    # Without a domain, the library looks up the name of this machine in the DNS, and blocks.
    mail["Message-ID"] = make_msgid(domain=origin.domain)
    # RFC 3834: prevents automatic replies.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(rejection["report_message"])
    return mail
