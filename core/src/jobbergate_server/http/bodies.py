"""Bodies of requests, decompressed in chunks as a handler reads them.

aiohttp decompresses a body even to discard it, for example after a 401: a megabyte of gzip can expand to a gigabyte.
"""

import zlib
from collections.abc import AsyncGenerator

from aiohttp import web

CHUNK_BYTES = 64 * 1024
GZIP_WBITS = 16 + zlib.MAX_WBITS
"""zlib's parameter for the gzip format (RFC 1952)."""


async def unpacked(request: web.Request) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the body without its content coding (RFC 9110, section 8.4).

    Raises:
        ValueError: The body does not match its content coding, or the coding is not supported.
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
                raise ValueError("the compressed body contains data after its end")
            rest, piece = chunk, b""
            while rest or len(piece) == CHUNK_BYTES:  # a full chunk may precede more data
                piece = unpacker.decompress(rest, CHUNK_BYTES)
                yield piece
                rest = unpacker.unconsumed_tail
    except zlib.error:
        raise ValueError("the body does not match its Content-Encoding") from None
    if unpacker and (unpacker.unused_data or not unpacker.eof):
        raise ValueError("the compressed body is truncated or contains data after its end")


def _unpacker(encoding: str, start: bytes) -> "zlib._Decompress":
    if encoding in {"gzip", "x-gzip"}:
        return zlib.decompressobj(GZIP_WBITS)
    if encoding == "deflate":
        # Some clients omit the zlib header of RFC 1950, whose first byte names method 8 (RFC 9110, section 8.4.1.2).
        return zlib.decompressobj(zlib.MAX_WBITS if start[0] & 15 == zlib.DEFLATED else -zlib.MAX_WBITS)
    raise ValueError(f"the Content-Encoding {encoding!r} is not supported")
