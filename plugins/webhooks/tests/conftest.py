"""What the tests of webhooks share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from patience import PATIENCE
from receiver import LOOPBACK, Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jobbergate_devkit.testing import Client, MakeApp, Served

URL = "/jobbergate/webhooks"
SCRIPTS = "/jobbergate/job-scripts"
CREATED = "job_script.created"


class Site:
    """A server with webhooks, and its owner."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.owner = served.client_as()

    async def call(self, method: str, path: str, client: Client | None = None, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's
        """Send a request as the owner, or as another client; the status and the JSON of the answer."""
        async with (client or self.owner).request(method, path, **options) as response:
            return response.status, await response.json() if response.content_type == "application/json" else None

    async def add(self, url: str, *events: str, client: Client | None = None) -> dict[str, Any]:
        """Add a webhook, for new job scripts unless ``events`` are named; the answer."""
        body = {"url": url, "events": events or [CREATED]}
        status, webhook = await self.call("POST", URL, client, json=body)
        assert status == 201, webhook
        assert isinstance(webhook, dict)
        return webhook

    async def happen(self, name: str = "Flow", client: Client | None = None) -> int:
        """Add a job script; its id."""
        status, script = await self.call("POST", SCRIPTS, client, json={"job_script_name": name})
        assert status == 201
        await self.served.reactions()
        return int(script["id"])

    async def deliveries(self, webhook: dict[str, Any]) -> list[dict[str, Any]]:
        """What the owner sees of the webhook's deliveries, from the first on."""
        status, answer = await self.call("GET", f"{URL}/{webhook['id']}/deliveries")
        assert status == 200, answer
        found: list[dict[str, Any]] = answer["results"]
        return found

    async def wait_for(
        self, webhook: dict[str, Any], condition: Callable[[list[dict[str, Any]]], object]
    ) -> list[dict[str, Any]]:
        """The webhook's deliveries, as soon as ``condition`` holds for them."""
        async with asyncio.timeout(PATIENCE):
            while not condition(found := await self.deliveries(webhook)):  # noqa: ASYNC110 - it asks another program
                await asyncio.sleep(0.01)
        return found

    async def outcome(self, webhook: dict[str, Any]) -> dict[str, Any]:
        """What has become of the webhook's only delivery."""
        (delivery,) = await self.wait_for(webhook, lambda found: found and found[0]["status"] != "pending")
        return delivery


class MakeSite:
    """Starts servers that may deliver to loopback."""

    def __init__(self, make_app: MakeApp) -> None:
        self._make_app = make_app

    async def __call__(self, *, networks: Sequence[str] = (LOOPBACK,), **settings: object) -> Site:
        """``settings`` are those of the plugin."""
        table = {"allowed_networks": list(networks), **settings}
        return Site(await self._make_app(settings={"plugins": {"webhooks": table}}))


@pytest.fixture
def make_site(make_app: MakeApp) -> MakeSite:
    return MakeSite(make_app)


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    return await make_site()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver
