"""The most that aiohttp itself can do: an answer that is known beforehand."""

from aiohttp import web

from benchmarks.peers.serving import options, serve


def main() -> None:
    """Serve as many bytes as the options say."""
    chosen = options()
    body = b"x" * chosen.size

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/jobbergate/{_:.*}", answer)
    serve(app, chosen.port)


if __name__ == "__main__":
    main()
