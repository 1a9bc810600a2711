"""What a verifier says of a token."""

import pytest

from jobbergate_server.auth.identity import InvalidToken
from jobbergate_server.auth.tokens import TokenVerifier


async def refused(verifier: TokenVerifier, token: str) -> str:
    """The reason why ``token`` is not accepted."""
    with pytest.raises(InvalidToken) as refusal:
        await verifier.verify(token)
    return str(refusal.value)
