"""A receiver of webhooks and a mail server on loopback, which count what plugins send in reaction to events."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes

import orjson
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from drills.client import Client
from drills.installation import LOOPBACK
from drills.uploads import APPLICATIONS, SCRIPTS, SUBMISSIONS

WEBHOOKS = "/jobbergate/webhooks"
CREATED = {"application.created": APPLICATIONS, "job_script.created": SCRIPTS}
"""The events that webhooks are registered for, and the lists of their subjects."""
STALL_SECONDS = 120
"""The longest wait for the next message; the delivery of a killed server is repeated after 45 s."""
SUBJECT = re.compile(r"Job Submission Rejected \(id=(\d+)\)")


class Receiver:
    """The messages and mails that arrived, by the path of the row that each is about."""

    def __init__(self) -> None:
        self.message_ids: defaultdict[str, set[str]] = defaultdict(set)
        """The different `webhook-id`s of each row."""
        self.mailed: set[str] = set()
        self.webhook_port = 0
        self.mail_port = 0
        self._arrival = asyncio.Event()

    @property
    def variables(self) -> Mapping[str, str]:
        """Settings of servers that may send to this receiver."""
        mail = {"HOST": LOOPBACK, "PORT": str(self.mail_port), "TLS": "none", "SENDER": "jobbergate@example.com"}
        return {
            "JOBBERGATE_PLUGINS__WEBHOOKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
            **{f"JOBBERGATE_PLUGINS__EMAIL_NOTIFICATIONS__{key}": value for key, value in mail.items()},
        }

    @property
    def doubled(self) -> set[str]:
        """Rows with messages that differ in their `webhook-id`."""
        return {row for row, ids in self.message_ids.items() if len(ids) > 1}

    @property
    def count(self) -> int:
        """The number of different messages and mails."""
        return sum(map(len, self.message_ids.values())) + len(self.mailed)

    async def register(self, client: Client) -> None:
        """Register a webhook for new rows of the client's owner."""
        body = {"url": f"http://{LOOPBACK}:{self.webhook_port}/", "events": list(CREATED)}
        answer = await client.post(WEBHOOKS, body)
        if not answer.is_good:
            raise RuntimeError(f"The server rejected the webhook: {answer}")

    async def missing(
        self, messages: Collection[str], mails: Collection[str], seconds: float = STALL_SECONDS
    ) -> tuple[set[str], set[str]]:
        """Wait for a message about each row of ``messages`` and a mail about each of ``mails``.

        Return the rows without a message and those without a mail, once nothing new has arrived for ``seconds``.
        """
        while True:
            self._arrival.clear()
            missing = set(messages) - self.message_ids.keys(), set(mails) - self.mailed
            if not any(missing):
                return missing
            try:
                await asyncio.wait_for(self._arrival.wait(), seconds)
            except TimeoutError:
                return missing

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Accept a message."""
        message = orjson.loads(await request.read())
        row = f"{CREATED[message['type']]}/{message['data']['id']}"
        if request.headers["webhook-id"] not in self.message_ids[row]:
            self.message_ids[row].add(request.headers["webhook-id"])
            self._arrival.set()
        return web.Response(status=204)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept a mail."""
        subject = message_from_bytes(envelope.original_content or b"").get("Subject", "")
        if found := SUBJECT.fullmatch(subject):
            row = f"{SUBMISSIONS}/{found[1]}"
            if row not in self.mailed:
                self.mailed.add(row)
                self._arrival.set()
        return "250 OK"


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver on free ports."""
    receiver, loop = Receiver(), asyncio.get_running_loop()
    webhooks = web.Server(receiver.handle)
    async with (
        await loop.create_server(webhooks, LOOPBACK, 0) as http,
        await loop.create_server(lambda: SMTP(receiver, hostname=LOOPBACK, loop=loop), LOOPBACK, 0) as smtp,
    ):
        receiver.webhook_port, receiver.mail_port = (it.sockets[0].getsockname()[1] for it in (http, smtp))
        try:
            yield receiver
        finally:
            await webhooks.shutdown()
