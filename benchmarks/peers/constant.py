"""The upper limit of aiohttp: a precomputed response."""

from aiohttp import web

from benchmarks.peers.serving import options, serve


def main() -> None:
    """Serve a response with the size in the options."""
    chosen = options()
    body = b"x" * chosen.size

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/jobbergate/{_:.*}", answer)
    serve(app, chosen.port)


if __name__ == "__main__":
    main()
