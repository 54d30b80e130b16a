"""The yardstick: the ingest worker's HTTPS server, with a handler that reads the body and answers 201 and nothing else.

`python -m gridtokenx_pipeline.benchmarks.ingest_read_only` takes `ServerOptions` as JSON on standard input, prints
`ready https://HOST:PORT` and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from aiohttp import web

from ieee2030_5.tls import server_context
from ingest_server.options import ServerOptions
from ingest_server.ports import listening_socket


async def _read(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=201)


async def serve(options: ServerOptions) -> None:
    """Serve until SIGTERM, with the TLS context, body limit and keep-alive of the ingest worker."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application(client_max_size=options.max_body_bytes)
    app.router.add_post("/mup/{mup_id}", _read)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, keepalive_timeout=options.keepalive_s, shutdown_timeout=1)
    await runner.setup()
    sock = listening_socket(options.host, options.port)
    await web.SockSite(runner, sock, ssl_context=server_context(options.ca, options.cert, options.key)).start()
    print(f"ready https://{options.host}:{sock.getsockname()[1]}", flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> int:
    """Read the options and serve on uvloop."""
    import uvloop

    uvloop.run(serve(ServerOptions.from_json(sys.stdin.read())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
