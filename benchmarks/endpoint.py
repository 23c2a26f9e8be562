"""A DynamoDB that does nothing: answers {} at once, in a process of its own, so that none of its work is measured.

It knows one item, the product that is for sale, and answers every GetItem and BatchGetItem with it.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

TABLE = "holdfast"

_PYTHON = [sys.executable, "-S"]


def product(tenant: str) -> dict[str, Any]:
    """Return the item of the product that is for sale."""
    numbers = {"total_stock": 1000, "shards": 1, "revision": 1, "price_minor": 89_900, "created_at": 1, "updated_at": 1}
    texts = {"pk": f"{tenant}#PRODUCTS", "sk": "01.1", "name": "Laptop", "currency": "USD"}
    return {
        **{name: {"S": value} for name, value in texts.items()},
        **{name: {"N": str(value)} for name, value in numbers.items()},
        "on_sale": {"BOOL": True},
    }


@contextmanager
def endpoint(tenant: str) -> Iterator[str]:
    """Run it; yields its URL."""
    command = [*_PYTHON, __file__, json.dumps(product(tenant))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _answer(body: Any) -> bytes:
    text = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: 0123456789ABCDEF\r\n"
        f"x-amz-crc32: {crc32(text)}\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


class _Connection(asyncio.Protocol):
    def __init__(self, item: Any) -> None:
        self._received = b""
        self._nothing = _answer({})
        self._answers = {
            b".GetItem": _answer({"Item": item}),
            b".BatchGetItem": _answer({"Responses": {TABLE: [item]}, "UnprocessedKeys": {}}),
        }

    def connection_made(self, transport: Any) -> None:
        """Keep what answers are written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is there in full."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self._received = rest[length:]
            operation = b"." + fields.get(b"x-amz-target", b"").rpartition(b".")[2]
            self._transport.write(self._answers.get(operation, self._nothing))


async def _serve(item: Any) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(item), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
