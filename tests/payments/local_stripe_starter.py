"""Starts localstripe on a port of this machine's own address, without the file in which it would keep its state."""

import asyncio
import sys

from aiohttp import web
from localstripe import resources, server  # type: ignore[import-untyped]


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    resources.Store.dump_to_disk = lambda _: None
    runner = web.AppRunner(server.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
