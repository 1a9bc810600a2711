"""Tokens of keys that nobody knows, and a provider that changes its key: the provider is not asked for each of them."""

import asyncio
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from random import Random

import orjson

from benchmarks.provider import Provider, provider
from drills.client import Client
from drills.drill import Drill, Figure, tell
from drills.installation import Run
from drills.uploads import SCRIPTS

FORGED = 10_000
CLIENTS = 16
SHARE = 20
"""One in so many tokens is good, and one that the server has not seen before."""
COOLDOWN = 30
"""Seconds between two searches for a key that is not known: what the server is built with."""
SIGNATURE = 256
OK = 200
UNAUTHORIZED = 401
PAUSE = 0.005
SEED = 8


class Attack:
    """Tokens that somebody forges; ``wrong`` counts the answers that did not have the status that they should have."""

    def __init__(self, client: Client, own: Provider) -> None:
        self.wrong = {UNAUTHORIZED: 0, OK: 0}
        self._client = client
        self._own = own
        self._random = Random(SEED)  # noqa: S311 - a forger's

    async def send(self, many: int) -> None:
        """Send so many, with good ones among them."""
        numbers = iter(range(many))

        async def ask() -> None:
            for number in numbers:
                await self._expect(UNAUTHORIZED, forged(self._own, self._random))
                if number % SHARE == 0:
                    await self._expect(OK, good(self._own))

        await asyncio.gather(*(ask() for _ in range(CLIENTS)))

    async def go_on(self) -> None:
        """Send more of them until the end."""
        while True:
            await self._expect(UNAUTHORIZED, forged(self._own, self._random))
            await asyncio.sleep(PAUSE)

    async def _expect(self, status: int, token: str) -> None:
        answer = await self._client.ask("GET", SCRIPTS, headers={"Authorization": f"Bearer {token}"})
        if answer.status != status:
            self.wrong[status] += 1
            tell(f"  {answer}")


async def run(run: Run, rounds: int) -> list[Figure]:  # noqa: ARG001 - there is one
    """Send forged tokens among good ones, and change the key while they go on."""
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
            more = asyncio.create_task(attack.go_on())
            async with installation.client() as somebody:
                await somebody.until_good(SCRIPTS)
            accepted = time.monotonic()
            more.cancel()
            await asyncio.wait([more])
            fetches = own.fetches - before
    # One at once, and one more after each cool-down.
    return [
        Figure(f"fetches of the keys in {accepted - began:.0f} s", fetches, 1 + (accepted - began) // COOLDOWN),
        Figure("tokens of unknown keys that were not refused", attack.wrong[UNAUTHORIZED]),
        Figure("good tokens that were refused", attack.wrong[OK]),
        Figure("until a new key is accepted", accepted - rotated, COOLDOWN + 1, "s"),
    ]


def good(own: Provider) -> str:
    """A token like no other."""
    return own.issuer.token(email="a@example.com", permissions=["jobbergate:job-scripts:view"], jti=str(time.time_ns()))


def forged(own: Provider, random: Random) -> str:
    """A token of a key that the provider does not have."""
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
