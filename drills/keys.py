"""Tokens with unknown keys, and a provider that changes its key: the server limits its requests to the provider."""

import asyncio
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from random import Random

import orjson

from benchmarks.provider import Provider, provider
from drills.client import Client
from drills.drill import Drill, Figure, print_progress
from drills.installation import Run
from drills.uploads import SCRIPTS

FORGED = 10_000
CLIENTS = 16
SHARE = 20
"""Forged tokens per valid token. Each valid token is new to the server."""
COOLDOWN = 30
"""Seconds between two fetches for an unknown key: the constant of the server."""
SIGNATURE = 256
"""Bytes."""
OK = 200
UNAUTHORIZED = 401
PAUSE = 0.005
"""Seconds between two forged tokens after the change of the key."""
SEED = 8


class Attack:
    """An attack with forged tokens. ``wrong`` counts the unexpected responses, by the expected status."""

    def __init__(self, client: Client, own: Provider) -> None:
        self.wrong = {UNAUTHORIZED: 0, OK: 0}
        self._client = client
        self._own = own
        self._random = Random(SEED)  # noqa: S311 - forged tokens, not secrets

    async def send(self, many: int) -> None:
        """Send so many forged tokens, with valid tokens among them."""
        numbers = iter(range(many))

        async def ask() -> None:
            for number in numbers:
                await self._expect(UNAUTHORIZED, forged(self._own, self._random))
                if number % SHARE == 0:
                    await self._expect(OK, good(self._own))

        await asyncio.gather(*(ask() for _ in range(CLIENTS)))

    async def send_forever(self) -> None:
        """Send forged tokens until the task is cancelled."""
        while True:
            await self._expect(UNAUTHORIZED, forged(self._own, self._random))
            await asyncio.sleep(PAUSE)

    async def _expect(self, status: int, token: str) -> None:
        answer = await self._client.ask("GET", SCRIPTS, headers={"Authorization": f"Bearer {token}"})
        if answer.status != status:
            self.wrong[status] += 1
            print_progress(f"  {answer}")


async def run(run: Run, rounds: int) -> list[Figure]:  # noqa: ARG001 - the drill has one round
    """Send forged tokens among valid tokens, and change the key meanwhile."""
    with provider(run.folder / "keys-issuer") as own:
        async with (
            replace(run, provider=own).installation("keys") as installation,
            installation.serving(),
            installation.client() as client,
        ):
            attack = Attack(client, own)
            began, before = time.monotonic(), own.fetches
            await attack.send(FORGED)
            own.rotate()
            rotated = time.monotonic()
            more = asyncio.create_task(attack.send_forever())
            async with installation.client() as user:
                await user.until_good(SCRIPTS)
            accepted = time.monotonic()
            more.cancel()
            await asyncio.wait([more])
            fetches = own.fetches - before
    # One immediate fetch, and one after each cooldown.
    return [
        Figure(f"fetches of the keys in {accepted - began:.0f} s", fetches, 1 + (accepted - began) // COOLDOWN),
        Figure("tokens with unknown keys that were not rejected", attack.wrong[UNAUTHORIZED]),
        Figure("valid tokens that were rejected", attack.wrong[OK]),
        Figure("time until a new key is accepted", accepted - rotated, COOLDOWN + 1, "s"),
    ]


def good(own: Provider) -> str:
    """Return a valid, unique token."""
    return own.issuer.token(email="a@example.com", permissions=["jobbergate:job-scripts:view"], jti=str(time.time_ns()))


def forged(own: Provider, random: Random) -> str:
    """Return a token with a key that the provider does not have."""
    now = int(time.time())
    header = {"alg": "RS256", "kid": random.randbytes(16).hex()}
    claims = {"iss": own.issuer.url, "sub": "a", "iat": now, "exp": now + 60}
    parts = (orjson.dumps(header), orjson.dumps(claims), random.randbytes(SIGNATURE))
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


DRILL = Drill(
    "keys",
    f"{FORGED:,} tokens that name unknown keys, among valid tokens. Then the provider changes its key, while forged "
    "tokens continue to arrive.",
    run,
    rounds=1,
)
