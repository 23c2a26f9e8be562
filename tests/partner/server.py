"""A partner to run against: an HTTP server that knows nothing of Holdfast, and can be told to misbehave.

`GET /api/v1/inventory/{product}?date=YYYY-MM-DD` is the partner's API, all under `/control` is for tests:

| | |
|---|---|
| `GET /control/products`, `POST /control/products {"generated": 450}` | what is sold |
| `GET /control/log` | every arrival: `at` (epoch ms), `product`, `date`, `status` (0: dropped) |
| `POST /control/faults {"kind", "product"?, "times"?, ...}`, `DELETE` | what goes wrong (`tests.partner.faults`) |
| `PUT /control/days/{product}/{date}`, `DELETE` | a whole answer, as it stands; back to what is said by itself |
| `POST /control/days/{product}/{date}/remaining {"slot", "remaining"?, "pax"?: {type: n}}` | the places left |
| `DELETE /control/days/{product}/{date}/slots/{slot}` | a slot that vanishes |
| `POST /control/reset` | no faults, no edits, no generated products, an empty log, an unused limit |
"""

import argparse
import contextlib
import copy
import gzip
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.partner.arrivals import DROPPED, Arrival, Limit
from tests.partner.faults import Fault, FaultKind, lied
from tests.partner.products import SEEDED, Answer, PartnerProduct, generated, inventory

KEY_VARIABLE = "PARTNER_API_KEY"
"""The environment variable that a key is given in; without it the partner makes one up."""

_INVENTORY = re.compile(r"/api/v1/inventory/([^/]+)")
_DAY = re.compile(r"/control/days/([^/]+)/([^/]+)(?:/(remaining)|/slots/([^/]+))?")
_JSON = "application/json"


@dataclass(frozen=True)
class _Said:
    """An answer: after so many seconds, and broken off by the connection's end where it is `cut`, or `dropped`."""

    status: int
    body: bytes
    after: float = 0
    is_cut: bool = False
    is_dropped: bool = False


class PartnerServer:
    """The partner on a port of 127.0.0.1, from `start` (or `with`) to `stop`.

    `limit` requests are let through in any `window` of seconds. Its numbers change every `changes_every` seconds, or
    never. `clock` tells epoch ms; by itself it is one that never goes back.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        products: int = 0,
        limit: int = 30,
        window: float = 60,
        api_key: str | None = None,
        seed: int = 0,
        changes_every: float | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.port = port
        self.api_key = api_key or secrets.token_urlsafe(24)
        self.limit, self.window = limit, window
        self._generated_at_first, self._seed, self._changes_every = products, seed, changes_every
        started, monotonic = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
        self._now = clock or (lambda: started + time.monotonic_ns() // 1_000_000 - monotonic)
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.reset()

    @property
    def url(self) -> str:
        """The base URL of the partner's API."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the same port as before, if this was started and stopped before."""
        self._server = _Server(self, self.port)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more: connections that are open end."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.end_connections()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def reset(self) -> None:
        """Forget every fault, edit and arrival, and the products that were added."""
        with self._lock:
            self._log: list[Arrival] = []
            self._faults: list[Fault] = []
            self._days: dict[tuple[str, str], bytes] = {}
            self._limit = Limit(self.limit, self.window)
            self._products = {product.id: product for product in SEEDED}
        self.generate(self._generated_at_first)

    def generate(self, count: int) -> Sequence[PartnerProduct]:
        """Sell so many generated products besides, and return them."""
        made = generated(count, self._seed)
        with self._lock:
            self._products |= {product.id: product for product in made}
        return made

    @property
    def products(self) -> Mapping[str, PartnerProduct]:
        """What is sold, by id."""
        return dict(self._products)

    @property
    def log(self) -> list[Arrival]:
        """Every request for inventory that came, in order, the refused ones too."""
        with self._lock:
            return list(self._log)

    def misbehave(
        self, kind: FaultKind | str, product: str | None = None, times: int | None = None, **more: Any
    ) -> None:
        """Meet requests for a product, or all, with a fault: so many times, or until cleared; `more` is as in Fault."""
        fault = Fault(FaultKind(kind), product, times, **more)
        with self._lock:
            self._faults.append(fault)

    def behave(self) -> None:
        """Clear all faults."""
        with self._lock:
            self._faults = []

    def say(self, product: str, day: str, answer: Any) -> None:
        """Answer this for a product's day from now on: a JSON value, or bytes as they stand."""
        with self._lock:
            self._days[product, day] = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def say_as_ever(self, product: str, day: str) -> None:
        """Forget what was edited of a day."""
        with self._lock:
            self._days.pop((product, day), None)

    def set_remaining(
        self, product: str, day: str, slot: str, remaining: int | None = None, pax: Mapping[str, int] | None = None
    ) -> None:
        """Say that so many places are left of a slot, and of pax types of it; the day stays as it is otherwise."""
        with self._lock:
            answer = self._editable(product, day)
            found = next(each for each in answer if each["providerSlotId"] == slot)
            if remaining is not None:
                found["remaining"] = remaining
            for each in found["paxAvailability"]:
                each["remaining"] = (pax or {}).get(each["type"], each["remaining"])
            self._days[product, day] = json.dumps(answer).encode()

    def remove_slot(self, product: str, day: str, slot: str) -> None:
        """Let a slot vanish; the day stays as it is otherwise."""
        with self._lock:
            answer = [each for each in self._editable(product, day) if each["providerSlotId"] != slot]
            self._days[product, day] = json.dumps(answer).encode()

    def inventory(self, product: str, day: str) -> Any:
        """Return what is said of a product's day just now, faults apart."""
        with self._lock:
            return json.loads(self._answer(product, day))

    def decide(self, product: str, day: str, key: str | None) -> _Said:
        """Log a request's arrival, and return how it is answered; both at once, so that the log is in order."""
        with self._lock:
            now = self._now()
            said = self._decided(product, day, key, now)
            self._log.append(Arrival(now, product, day, DROPPED if said.is_dropped else said.status))
            return said

    def _decided(self, product: str, day: str, key: str | None, now: int) -> _Said:
        if key is None or not secrets.compare_digest(key.encode(), self.api_key.encode()):
            return _error(401, "unauthorized")
        again_at = self._limit.take(now)
        if again_at is not None:
            return _limited(again_at)
        fault = next((each for each in self._faults if each.is_for(product)), None)
        if fault is None:
            return self._ordinary(product, day)
        fault.met()
        return self._faulty(fault, product, day)

    def _ordinary(self, product: str, day: str) -> _Said:
        if product not in self._products and (product, day) not in self._days:
            return _error(404, "no such product")
        try:
            date.fromisoformat(day)
        except ValueError:
            return _error(400, "date is no date")
        return _Said(200, self._answer(product, day))

    def _faulty(self, fault: Fault, product: str, day: str) -> _Said:
        ordinary = self._ordinary(product, day)
        match fault.kind:
            case FaultKind.SLOW:
                return _Said(ordinary.status, ordinary.body, after=fault.seconds)
            case FaultKind.FAIL:
                return _error(fault.status, "out of order")
            case FaultKind.LIMITED:
                return _limited(fault.reset)
            case FaultKind.BAD_JSON:
                return _Said(200, ordinary.body[:-1])
            case FaultKind.NOT_AN_ARRAY:
                return _Said(200, json.dumps({"slots": json.loads(ordinary.body)}).encode())
            case FaultKind.HUGE:
                return _Said(200, b"[" + b" " * (fault.megabytes * 1_000_000) + b"]")
            case FaultKind.DROP:
                return _Said(ordinary.status, b"", is_dropped=True)
            case FaultKind.CUT:
                return _Said(ordinary.status, ordinary.body, is_cut=True)
            case FaultKind.MISSING_FIELDS | FaultKind.NEGATIVE:
                return _Said(200, json.dumps(lied(fault.kind, json.loads(ordinary.body))).encode())

    def _answer(self, product: str, day: str) -> bytes:
        said = self._days.get((product, day))
        return json.dumps(self._by_itself(product, day)).encode() if said is None else said

    def _editable(self, product: str, day: str) -> Answer:
        edited: Answer = json.loads(self._answer(product, day))
        return edited

    def _by_itself(self, product: str, day: str) -> Answer:
        moment = int(self._now() // (self._changes_every * 1000)) if self._changes_every else 0
        return copy.deepcopy(inventory(self._products[product], day, moment, self._seed))


def _error(status: int, error: str) -> _Said:
    return _Said(status, json.dumps({"error": error}).encode())


def _limited(again_at: Any) -> _Said:
    return _Said(429, json.dumps({"rateLimitState": {"reset": again_at}}).encode())


class _Server(ThreadingHTTPServer):
    """The listening socket, and every connection that is open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, partner: PartnerServer, port: int) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), type("_Bound", (_Handler,), {"partner": partner}))

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """End those that clients keep for further requests."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; all else is a fault of the server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    partner: PartnerServer

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        found = _INVENTORY.fullmatch(asked.path)
        if found:
            day = (parse_qs(asked.query).get("date") or [""])[0]
            self._answer(self.partner.decide(unquote(found[1]), day, self.headers.get("x-api-key")))
        else:
            self._control()

    def do_POST(self) -> None:
        self._control()

    def do_PUT(self) -> None:
        self._control()

    def do_DELETE(self) -> None:
        self._control()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log is kept by the partner."""

    def _answer(self, said: _Said) -> None:
        time.sleep(said.after)
        if said.is_dropped:
            self.close_connection = True
            return
        body, headers = said.body, {"Content-Type": _JSON, "Vary": "Accept-Encoding"}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        self.send_response(said.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if said.is_cut else body)
        self.close_connection = self.close_connection or said.is_cut

    def _control(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        try:
            found = self._controlled(f"{self.command} {path}", path, content)
        except (ValueError, LookupError, TypeError, StopIteration) as wrong:
            self._answer(_error(400, repr(wrong)))
            return
        said = _error(404, "nothing here") if found is None else _Said(200, json.dumps(found).encode())
        self._answer(said)

    def _controlled(self, asked: str, path: str, content: bytes) -> Any:
        """Do what is asked for, and return what is answered; None for what there is not."""
        partner = self.partner
        match asked:
            case "GET /control/products":
                return {"products": [_shown(product) for product in partner.products.values()]}
            case "POST /control/products":
                return {"products": [_shown(product) for product in partner.generate(json.loads(content)["generated"])]}
            case "GET /control/log":
                return {"arrivals": [asdict(arrival) for arrival in partner.log]}
            case "POST /control/faults":
                partner.misbehave(**json.loads(content))
                return {}
            case "DELETE /control/faults":
                partner.behave()
                return {}
            case "POST /control/reset":
                partner.reset()
                return {}
        day = _DAY.fullmatch(path)
        return self._edited(content, *map(unquote, day.groups(""))) if day else None

    def _edited(self, content: bytes, product: str, day: str, remaining: str, slot: str) -> Any:
        if self.command == "DELETE" and slot:
            self.partner.remove_slot(product, day, slot)
        elif self.command == "POST" and remaining:
            self.partner.set_remaining(product, day, **json.loads(content))
        elif self.command == "PUT" and not (remaining or slot):
            self.partner.say(product, day, content)
        elif self.command == "DELETE" and not remaining:
            self.partner.say_as_ever(product, day)
        else:
            return None
        return {}


def _shown(product: PartnerProduct) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "weekdays": sorted(product.weekdays)}


def main() -> int:
    """Serve until the process is asked to end."""
    parser = argparse.ArgumentParser(description="A partner to run against; its key is taken from " + KEY_VARIABLE)
    parser.add_argument("--port", type=int, default=3001, help="where it listens on 127.0.0.1")
    parser.add_argument("--products", type=int, default=0, help="how many generated products there are besides 14, 15")
    parser.add_argument("--limit", type=int, default=30, help="how many requests it answers in any window")
    parser.add_argument("--window", type=float, default=60, help="seconds of a window")
    parser.add_argument("--seed", type=int, default=0, help="of products and numbers")
    parser.add_argument("--changes-every", type=float, default=60, help="seconds after which numbers change; 0: never")
    options = vars(parser.parse_args())
    given = os.environ.get(KEY_VARIABLE)
    partner = PartnerServer(api_key=given, **options)
    partner.start()
    print(f"The partner listens at {partner.url}" + ("" if given else f", its key is {partner.api_key}"), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    partner.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
