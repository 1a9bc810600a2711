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
from drills.installation import Installation, Run
from drills.uploads import SCRIPTS

FORGED = 10_000
CLIENTS = 16
SHARE = 20
"""One in so many tokens is good, and one that the server has not seen before."""
COOLDOWN = 30
"""Seconds between two searches for a key that is not known: what the server is built with."""
SIGNATURE = 256
UNAUTHORIZED = 401
SEED = 8


async def run(run: Run, rounds: int) -> list[Figure]:  # noqa: ARG001 - there is one
    """Send forged tokens among good ones, and change the key then."""
    with provider(run.folder / "keys-issuer") as own:
        async with replace(run, provider=own).installation("keys") as installation, installation.serving():
            began, before = time.monotonic(), own.fetches
            wrong = await attack(installation)
            passed = time.monotonic() - began
            fetches = own.fetches - before
            found = await rotate(installation, own)
    # One at once, and one more after each cool-down.
    return [
        Figure(f"fetches of the keys in {passed:.0f} s", fetches, 1 + passed // COOLDOWN),
        Figure("tokens of unknown keys that were not refused", wrong[UNAUTHORIZED]),
        Figure("good tokens that were refused", wrong[200]),
        Figure("a new key is accepted after", found, COOLDOWN + 1, "s"),
    ]


async def attack(installation: Installation) -> dict[int, int]:
    """How many answers have not had the status that they should have."""
    random = Random(SEED)  # noqa: S311 - a forger's
    wrong = {UNAUTHORIZED: 0, 200: 0}
    numbers = iter(range(FORGED))

    async def ask(client: Client) -> None:
        for number in numbers:
            token = forged(installation.provider, random)
            await expect(client, token, UNAUTHORIZED)
            if number % SHARE == 0:
                await expect(client, good(installation.provider), 200)

    async def expect(client: Client, token: str, status: int) -> None:
        answer = await client.ask("GET", SCRIPTS, headers={"Authorization": f"Bearer {token}"})
        if answer.status != status:
            wrong[status] += 1
            tell(f"  {answer}")

    async with installation.client() as client:
        await asyncio.gather(*(ask(client) for _ in range(CLIENTS)))
    return wrong


async def rotate(installation: Installation, own: Provider) -> float:
    """Seconds until the tokens of a new key are accepted."""
    own.rotate()
    began = time.monotonic()
    async with installation.client() as client:
        await client.until_good(SCRIPTS)
    return time.monotonic() - began


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
    f"{FORGED:,} tokens that name keys which the provider does not have, among good ones; then the provider changes "
    "its key.",
    run,
    rounds=1,
)
