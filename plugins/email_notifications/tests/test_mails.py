"""The mail that tells the owner of a rejection, on its way through a real mail server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ports import unused_port
from structlog.testing import capture_logs

from jobbergate_job_submissions.models import JobSubmission
from jobbergate_server import DATABASE
from jobbergate_server.plugins.contribution import CONTRIBUTIONS

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from structlog.typing import EventDict

    from jobbergate_devkit.testing import MakeApp, Served
    from plugins.email_notifications.tests.conftest import Mailbox, MailServer

SUBMISSIONS = "/jobbergate/job-submissions"
HOST = "127.0.0.1"
SENDER, OWNER = "jobbergate@example.com", "owner@example.com"
USER, PASSWORD = "jobbergate", "correct horse battery staple"
MESSAGE = "Die Partition „lang“ ist geschlossen."
SECONDS = 30.0
"""A deadline that no test waits for."""


class Site:
    """A server whose mails go to the mail server at ``port``."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.agent = served.client_as(email=None)
        self.owner = served.client_as(email=OWNER)

    async def submission(self, owner: str = OWNER, job_script_id: int | None = None) -> int:
        """Add a submission for the agent's cluster; its id."""
        moment = datetime.now(UTC)
        with self.served.app[DATABASE].bound():
            submission = await JobSubmission.create(
                created_at=moment,
                updated_at=moment,
                job_submission_name="Flow",
                job_submission_owner_email=owner,
                job_script_id=job_script_id,
                client_id="cluster",
            )
        return submission.id

    async def report(self, submission_id: int, status: str = "REJECTED", message: str | None = MESSAGE) -> int:
        """What the agent is answered that reports this."""
        body = {"new_status": status, "report_message": message}
        async with self.agent.put(f"{SUBMISSIONS}/agent/{submission_id}", json=body) as response:
            return response.status

    async def row(self, submission_id: int) -> dict[str, Any]:
        """The submission as its owner sees it."""
        async with self.owner.get(f"{SUBMISSIONS}/{submission_id}") as response:
            row: dict[str, Any] = await response.json()
            return row

    async def settle(self) -> None:
        """Wait until every mail is sent or has failed."""
        await self.served.reactions()


class MakeSite:
    """Starts servers that know a mail server."""

    def __init__(self, make_app: MakeApp) -> None:
        self._make_app = make_app

    async def __call__(self, port: int, **settings: object) -> Site:
        """``settings`` are those of the plugin."""
        known = {"host": HOST, "port": port, "sender": SENDER, "tls": "none", "timeout": SECONDS, **settings}
        return Site(await self._make_app(settings={"plugins": {"email_notifications": known}}))


@pytest.fixture
def make_site(make_app: MakeApp) -> MakeSite:
    return MakeSite(make_app)


@pytest.fixture
async def mailbox(mail_server: MailServer) -> AsyncIterator[Mailbox]:
    async with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
async def site(make_site: MakeSite, mailbox: Mailbox) -> Site:
    return await make_site(mailbox.port)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


def failures(logs: list[EventDict]) -> list[EventDict]:
    """The errors in the log, none of which shows whom a mail is for, what is in it, or the password."""
    text = str(logs)
    assert not [secret for secret in (OWNER, MESSAGE, "Partition", PASSWORD) if secret in text]
    return [log for log in logs if log["log_level"] in {"error", "critical"}]


def not_sent(submission_id: int, reason: str) -> EventDict:
    """The line of a mail that was not sent."""
    return {
        "event": "mail not sent",
        "log_level": "error",
        "job_submission_id": submission_id,
        "reason": reason,
    }


async def test_the_owner_is_told_of_a_rejection_in_one_mail(site: Site, mailbox: Mailbox) -> None:
    submission_id = await site.submission()
    assert await site.report(submission_id) == 200
    await site.settle()
    (delivery,) = mailbox.deliveries
    assert (delivery.sender, delivery.recipients) == (SENDER, [OWNER])
    headers = dict(delivery.mail.items())
    assert headers.pop("Message-ID").endswith("@example.com>")
    assert datetime.now(UTC) - delivery.mail["Date"].datetime < timedelta(minutes=1)
    del headers["Date"]
    assert headers == {
        "From": SENDER,
        "To": OWNER,
        "Subject": f"Job Submission Rejected (id={submission_id})",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "8bit",
        "MIME-Version": "1.0",
    }
    assert mailbox.text() == f"{MESSAGE}\n"


@pytest.mark.parametrize(
    "message",
    [
        "plain words",
        "two\nlines",
        ".\n..\nFrom here on\nBcc: everybody@example.com\n\nend",
        "a line beyond every limit of a mail " + "ö" * 5000,
        "\U0001f4a5 \x0b \x1b[31m",
    ],
    ids=["ascii", "lines", "dots and headers", "long", "odd characters"],
)
async def test_the_mail_says_what_the_agent_has_said(site: Site, mailbox: Mailbox, message: str) -> None:
    assert await site.report(await site.submission(), message=message) == 200
    await site.settle()
    mail = mailbox.only()
    assert mailbox.text() == f"{message}\n"
    assert (mail.get_content_type(), mail.get_content_charset(), mail.is_multipart()) == ("text/plain", "utf-8", False)
    assert mailbox.deliveries[0].recipients == [OWNER]
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    ("status", "message"), [("REJECTED", None), ("REJECTED", ""), ("FAILED", MESSAGE), ("UNKNOWN", MESSAGE)]
)
async def test_only_a_rejection_with_a_reason_is_mailed(
    site: Site, mailbox: Mailbox, status: str, message: str | None
) -> None:
    assert await site.report(await site.submission(), status, message) == 200
    await site.settle()
    assert mailbox.deliveries == []


async def test_owners_are_not_told_of_what_they_do_themselves(site: Site, mailbox: Mailbox) -> None:
    submission_id = await site.submission()
    async with site.owner.put(f"{SUBMISSIONS}/{submission_id}", json={"status": "REJECTED"}) as response:
        assert (await response.json())["status"] == "REJECTED"
    await site.settle()
    assert mailbox.deliveries == []


async def test_a_report_that_is_repeated_sends_no_second_mail(site: Site, mailbox: Mailbox) -> None:
    submission_id = await site.submission()
    assert [await site.report(submission_id) for _ in range(3)] == [200, 200, 200]
    await site.settle()
    assert len(mailbox.deliveries) == 1


async def test_reports_that_race_send_one_mail(site: Site, mailbox: Mailbox) -> None:
    submission_id = await site.submission()
    assert await asyncio.gather(*(site.report(submission_id) for _ in range(5))) == [200] * 5
    await site.settle()
    assert len(mailbox.deliveries) == 1


async def test_a_report_that_is_refused_sends_no_mail(site: Site, mailbox: Mailbox) -> None:
    submission_id = await site.submission()
    assert await site.report(submission_id, "COMPLETED", None) == 200
    assert await site.report(submission_id) == 409
    await site.settle()
    assert mailbox.deliveries == []


async def test_a_submission_whose_script_was_deleted_is_rejected_with_one_mail(site: Site, mailbox: Mailbox) -> None:
    async with site.owner.post("/jobbergate/job-scripts", json={"job_script_name": "script"}) as response:
        script_id = (await response.json())["id"]
    submission_id = await site.submission(job_script_id=script_id)
    async with site.owner.delete(f"/jobbergate/job-scripts/{script_id}") as response:
        assert response.status == 204
    for _ in range(2):
        async with site.agent.get(f"{SUBMISSIONS}/agent/pending") as response:
            assert (response.status, await response.json()) == (200, [])
    row = await site.row(submission_id)
    await site.settle()
    assert (row["status"], f"{row['report_message']}\n") == ("REJECTED", mailbox.text())
    assert mailbox.only()["To"] == OWNER


async def test_the_answer_does_not_wait_for_the_mail_server(make_site: MakeSite) -> None:
    asked, silent = asyncio.Event(), asyncio.Event()

    async def stay_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await silent.wait()
        writer.close()

    async with await asyncio.start_server(stay_silent, HOST, 0) as server:
        site = await make_site(server.sockets[0].getsockname()[1])
        submission_id = await site.submission()
        assert await asyncio.wait_for(site.report(submission_id), SECONDS / 3) == 200
        await asyncio.wait_for(asked.wait(), SECONDS)
        assert (await site.row(submission_id))["report_message"] == MESSAGE
        silent.set()
        await site.settle()


async def test_a_mail_server_that_hangs_has_a_deadline(make_site: MakeSite, logs: list[EventDict]) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, HOST, 0) as server:
        site = await make_site(server.sockets[0].getsockname()[1], timeout=0.1)
        submission_id = await site.submission()
        assert await site.report(submission_id) == 200
        await site.settle()
    assert failures(logs) == [not_sent(submission_id, "the mail server did not accept the mail within 0.1 seconds")]


async def test_no_update_is_lost_when_the_mail_server_is_away(make_site: MakeSite, logs: list[EventDict]) -> None:
    port = unused_port()
    site = await make_site(port)
    submission_id = await site.submission()
    assert await site.report(submission_id) == 200
    row = await site.row(submission_id)
    assert (row["status"], row["report_message"]) == ("REJECTED", MESSAGE)
    await site.settle()
    (failure,) = failures(logs)
    reason = failure.pop("reason")
    assert {**failure, "reason": ""} == not_sent(submission_id, "")
    assert reason.startswith(f"SMTPConnectError: Error connecting to {HOST} on port {port}")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"RCPT": "550 5.1.1 <{address}>: unknown here"}, "SMTPRecipientRefused 550"),
        ({"DATA": "554 5.7.1 This is not wanted: {content}"}, "SMTPDataError 554"),
    ],
)
async def test_no_update_is_lost_when_the_mail_server_refuses(
    make_site: MakeSite, mail_server: MailServer, logs: list[EventDict], answers: dict[str, str], reason: str
) -> None:
    async with mail_server(answers=answers) as mailbox:
        site = await make_site(mailbox.port)
        submission_id = await site.submission()
        assert await site.report(submission_id) == 200
        assert (await site.row(submission_id))["status"] == "REJECTED"
        await site.settle()
    assert failures(logs) == [not_sent(submission_id, reason)]


@pytest.mark.parametrize("owner", ["owner@example.com\r\nBcc: other@example.com", "owner@example.com, other@x", ""])
async def test_what_is_no_address_gets_no_mail(site: Site, mailbox: Mailbox, logs: list[EventDict], owner: str) -> None:
    submission_id = await site.submission(owner)
    assert await site.report(submission_id) == 200
    await site.settle()
    assert failures(logs) == [not_sent(submission_id, "the owner's address is not an e-mail address")]
    assert mailbox.deliveries == []


async def test_every_address_that_can_own_a_submission_gets_its_mail(site: Site, mailbox: Mailbox) -> None:
    owners = ["o'neill+jobs@site.local", "jürgen@müller.example"]
    for owner in owners:
        assert await site.report(await site.submission(owner)) == 200
    await site.settle()
    assert sorted(delivery.recipients for delivery in mailbox.deliveries) == sorted([owner] for owner in owners)
    assert sorted(str(delivery.mail["To"]) for delivery in mailbox.deliveries) == sorted(owners)


@pytest.mark.usefixtures("trusted")
async def test_a_mail_is_encrypted_by_starttls_and_follows_a_login(
    make_site: MakeSite,
    mail_server: MailServer,
    tls_context: ssl.SSLContext,
) -> None:
    async with mail_server(starttls=tls_context, login=(USER, PASSWORD)) as mailbox:
        site = await make_site(mailbox.port, tls="starttls", user=USER, password=PASSWORD)
        assert await site.report(await site.submission()) == 200
        await site.settle()
    (delivery,) = mailbox.deliveries
    assert (delivery.encrypted, delivery.user) == (True, USER)


@pytest.mark.usefixtures("trusted")
async def test_a_mail_is_encrypted_from_the_first_byte_on(
    make_site: MakeSite,
    mail_server: MailServer,
    tls_context: ssl.SSLContext,
) -> None:
    async with mail_server(tls=tls_context) as mailbox:
        site = await make_site(mailbox.port, tls="tls")
        assert await site.report(await site.submission()) == 200
        await site.settle()
    (delivery,) = mailbox.deliveries
    assert (delivery.encrypted, delivery.user) == (True, None)


async def test_nothing_is_sent_in_the_clear_unless_the_settings_say_so(
    make_site: MakeSite, mailbox: Mailbox, logs: list[EventDict]
) -> None:
    site = await make_site(mailbox.port, tls="starttls", user=USER, password=PASSWORD)
    submission_id = await site.submission()
    assert await site.report(submission_id) == 200
    await site.settle()
    reason = "SMTPException: SMTP STARTTLS extension not supported by server."
    assert failures(logs) == [not_sent(submission_id, reason)]
    assert mailbox.deliveries == []


async def test_a_mail_server_with_an_unknown_certificate_gets_no_mail(
    make_site: MakeSite, mail_server: MailServer, tls_context: ssl.SSLContext, logs: list[EventDict]
) -> None:
    async with mail_server(starttls=tls_context) as mailbox:
        site = await make_site(mailbox.port, tls="starttls")
        assert await site.report(await site.submission()) == 200
        await site.settle()
    (failure,) = failures(logs)
    assert "CERTIFICATE_VERIFY_FAILED" in failure["reason"]
    assert mailbox.deliveries == []


@pytest.mark.usefixtures("trusted")
async def test_a_login_that_is_refused_is_logged_without_the_password(
    make_site: MakeSite,
    mail_server: MailServer,
    tls_context: ssl.SSLContext,
    logs: list[EventDict],
) -> None:
    async with mail_server(starttls=tls_context, login=(USER, PASSWORD)) as mailbox:
        site = await make_site(mailbox.port, tls="starttls", user="somebody else", password=PASSWORD)
        submission_id = await site.submission()
        assert await site.report(submission_id) == 200
        await site.settle()
    assert failures(logs) == [not_sent(submission_id, "SMTPAuthenticationError 535")]
    assert PASSWORD not in repr(site.served.app[CONTRIBUTIONS])


async def test_nothing_is_sent_until_a_mail_server_is_configured(make_app: MakeApp, logs: list[EventDict]) -> None:
    site = Site(await make_app())
    assert await site.report(await site.submission()) == 200
    await site.settle()
    assert [log for log in logs if log["event"].startswith("mail")] == []
