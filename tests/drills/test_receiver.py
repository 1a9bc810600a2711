"""The receiver of the drills: which messages it counts, and for how long it waits for them."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from typing import TYPE_CHECKING

import aiohttp
import aiosmtplib
import pytest

from drills.receiver import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SCRIPT = "/jobbergate/job-scripts/7"
SUBMISSION = "/jobbergate/job-submissions/7"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def post(receiver: Receiver, message_id: str, event: str = "job_script.created") -> None:
    """Deliver a message about the row 7."""
    url = f"http://127.0.0.1:{receiver.webhook_port}/"
    body, headers = {"type": event, "data": {"id": 7}}, {"webhook-id": message_id}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
        assert response.status == 204


async def mail(receiver: Receiver, subject: str) -> None:
    """Deliver a mail with that subject."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "jobbergate@example.com", "owner@example.com", subject
    mail.set_content("Subject: Job Submission Rejected (id=8)")
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=receiver.mail_port, start_tls=False)


async def test_a_repeated_message_counts_once_and_a_second_one_is_doubled(receiver: Receiver) -> None:
    await post(receiver, "msg_1")
    await post(receiver, "msg_1")
    assert (receiver.count, receiver.doubled) == (1, set())
    await post(receiver, "msg_2", "application.created")
    assert (receiver.count, receiver.doubled) == (2, set())
    await post(receiver, "msg_3")
    assert (receiver.count, receiver.doubled) == (3, {SCRIPT})


async def test_a_mail_counts_once_for_the_submission_in_its_subject(receiver: Receiver) -> None:
    for subject in ("Job Submission Rejected (id=7)", "Job Submission Rejected (id=7)", "Holidays"):
        await mail(receiver, subject)
    assert (receiver.count, receiver.mailed) == (1, {SUBMISSION})


async def test_it_waits_until_all_have_arrived(receiver: Receiver) -> None:
    waiting = asyncio.create_task(receiver.missing({SCRIPT}, {SUBMISSION}))
    await mail(receiver, "Job Submission Rejected (id=7)")
    await post(receiver, "msg_1")
    assert await waiting == (set(), set())


async def test_the_rows_without_a_message_or_a_mail_are_returned(receiver: Receiver) -> None:
    await post(receiver, "msg_1")
    other = f"{SCRIPT}1"
    assert await receiver.missing({SCRIPT, other}, {SUBMISSION}, seconds=0) == ({other}, {SUBMISSION})
