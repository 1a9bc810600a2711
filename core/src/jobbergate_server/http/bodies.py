"""Bodies of requests: read piece by piece, and unpacked only by who reads them.

aiohttp would unpack a body also to throw it away, as after a 401: a megabyte of gzip that anybody sends is a gigabyte.
"""

import zlib
from collections.abc import AsyncGenerator

from aiohttp import web

PIECE = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS
"""zlib's word for the format of RFC 1952."""


async def unpacked(request: web.Request) -> AsyncGenerator[bytes, None]:
    """The body as it comes, in the form that it had before it was packed (RFC 9110, section 8.4).

    Raises:
        ValueError: It is not packed as it says, or in a way that is not known.
    """
    encoding = request.headers.get("Content-Encoding", "").lower()
    chunks = request.content.iter_any()
    if encoding in {"", "identity"}:
        async for chunk in chunks:
            yield chunk
        return
    unpacker = None
    try:
        async for chunk in chunks:
            unpacker = unpacker or _unpacker(encoding, chunk)
            if unpacker.eof:
                raise ValueError("the packed body goes on after its end")
            rest, piece = chunk, b""
            while rest or len(piece) == PIECE:  # of what is read already, there may be more
                piece = unpacker.decompress(rest, PIECE)
                yield piece
                rest = unpacker.unconsumed_tail
    except zlib.error:
        raise ValueError("the body is not packed as it says") from None
    if unpacker and (unpacker.unused_data or not unpacker.eof):
        raise ValueError("the packed body has another end than it says")


def _unpacker(encoding: str, start: bytes) -> "zlib._Decompress":
    if encoding in {"gzip", "x-gzip"}:
        return zlib.decompressobj(GZIP)
    if encoding == "deflate":
        # Some clients leave the frame of RFC 1950 out, in which the first byte names method 8 (RFC 9110, 8.4.1.2).
        return zlib.decompressobj(zlib.MAX_WBITS if start[0] & 15 == zlib.DEFLATED else -zlib.MAX_WBITS)
    raise ValueError(f"the encoding {encoding!r} is not known")
