"""The adapter against a running partner: one request a call, in time or not at all, and two errors in all."""

import contextlib
import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from holdfast.partners import calls as partner_calls
from holdfast.partners import inventory as partner_inventory
from holdfast.partners.calls import Calls
from holdfast.partners.inventory import InventoryApi
from holdfast.partners.port import PartnerFailed, PartnerLimited
from holdfast.platform.secrets import SecretMissing, SecretUnreadable
from tests.partner.arrivals import DROPPED
from tests.partner.products import SAMPLE_DATE
from tests.partner.server import PartnerServer
from tests.partners.asking import api_of, code_of, read

NOW = 1_800_000_000_000
MONDAY = "2027-03-01"
SOON = 1.0


@pytest.fixture
def partner() -> Iterator[PartnerServer]:
    """A partner of its own for each test."""
    with PartnerServer(limit=100, clock=lambda: NOW) as running:
        yield running


class StandingClock:
    """A clock that stands at NOW."""

    def now(self) -> int:
        """Return NOW."""
        return NOW


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection after the other with bytes as a test has them; yields the base URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    serve(connection)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def failed(api: InventoryApi, product: str = "15", send_within: float = SOON) -> str:
    """Ask, and return the code of the failure that comes of it."""
    with pytest.raises(PartnerFailed) as wrong:
        api.inventory(product, SAMPLE_DATE, send_within)
    return code_of(wrong.value)


def at(url: str) -> InventoryApi:
    """Return the adapter at an address."""
    return InventoryApi(url, lambda: {"api_key": "key-of-a-test"}, Calls())


def test_the_sample_day_comes_over_the_wire_as_the_partner_says_it(partner: PartnerServer) -> None:
    found = api_of(partner).inventory("15", SAMPLE_DATE, SOON)
    assert found == read(*partner.inventory("15", SAMPLE_DATE))
    assert [slot.slot_id for slot in found.slots] == ["ab12"]
    assert not api_of(partner).inventory("15", MONDAY, SOON).slots
    assert len(api_of(partner).inventory("14", MONDAY, SOON).slots) == 4


def test_what_changes_at_the_partner_changes_in_the_next_answer(partner: PartnerServer) -> None:
    api = api_of(partner)
    before = api.inventory("15", SAMPLE_DATE, SOON)
    assert api.inventory("15", SAMPLE_DATE, SOON).digest == before.digest
    partner.set_remaining("15", SAMPLE_DATE, "ab12", 3, {"CHILD_5~15": 2})
    after = api.inventory("15", SAMPLE_DATE, SOON)
    assert after.digest != before.digest
    assert (after.slots[0].remaining, [pax.remaining for pax in after.slots[0].pax]) == (3, [150, 2, 20])
    partner.remove_slot("15", SAMPLE_DATE, "ab12")
    assert (list(api.inventory("15", SAMPLE_DATE, SOON).slots), True) == ([], after.is_whole)


def test_one_connection_serves_all_requests_and_the_client_is_made_once(partner: PartnerServer) -> None:
    opened: list[str] = []

    class Counting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            before = request.extensions["trace"]

            def trace(event: str, about: Any) -> None:
                opened.extend([event] if event == "connection.connect_tcp.started" else [])
                before(event, about)

            request.extensions["trace"] = trace
            return super().handle_request(request)

    api = api_of(partner, Calls(Counting()))
    for _ in range(5):
        api.inventory("14", MONDAY, SOON)
    assert len(opened) == 1
    assert partner_calls.shared() is partner_calls.shared()


def test_a_product_id_is_one_step_of_the_path_whatever_it_is(partner: PartnerServer) -> None:
    api = api_of(partner)
    for product in ("..", ".", "../../control/reset", "14?date=2025-01-01", "a b", "%2e", "Ü", "1#2"):
        assert failed(api, product) == "refused"
    assert [arrival.product for arrival in partner.log] == [
        *("..", ".", "../../control/reset", "14?date=2025-01-01", "a b", "%2e", "Ü", "1#2")
    ]


def test_a_429_tells_until_when_and_is_no_failure(partner: PartnerServer) -> None:
    with PartnerServer(limit=1, clock=lambda: NOW) as strict:
        api = api_of(strict, clock=StandingClock())
        api.inventory("14", MONDAY, SOON)
        with pytest.raises(PartnerLimited) as limited:
            api.inventory("14", MONDAY, SOON)
        assert limited.value.reset_at == NOW + 60_000


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        (NOW + 1, NOW + 1),
        (NOW + 3_600_000, NOW + 3_600_000),
        (NOW - 60_000, NOW - 60_000),
        (NOW - 60_001, None),
        (NOW + 86_400_001, None),
        (NOW // 1000 + 60, None),
        (NOW * 1000, None),
        (10**4_000, None),
        (True, None),
        (None, None),
        (str(NOW + 5), None),
        (NOW + 0.5, None),
        ([NOW], None),
    ],
)
def test_a_reset_that_cannot_be_meant_is_none(partner: PartnerServer, reset: Any, expected: int | None) -> None:
    partner.misbehave("limited", reset=reset)
    with pytest.raises(PartnerLimited) as limited:
        api_of(partner, clock=StandingClock()).inventory("14", MONDAY, SOON)
    assert limited.value.reset_at == expected


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"rateLimitState": 7}', b"[" * 10_000, b"\xff"])
def test_a_429_whose_body_says_nothing_is_one_all_the_same(text: bytes) -> None:
    answer = b"HTTP/1.1 429 Slow Down\r\nContent-Length: %d\r\n\r\n" % len(text) + text
    with raw_server(lambda connection: connection.sendall(answer)) as url, pytest.raises(PartnerLimited) as limited:
        at(url).inventory("14", MONDAY, SOON)
    assert limited.value.reset_at is None


def test_a_429_that_breaks_off_is_one_all_the_same() -> None:
    answer = b'HTTP/1.1 429 Slow Down\r\nContent-Length: 500\r\n\r\n{"rate'
    with raw_server(lambda connection: connection.sendall(answer)) as url, pytest.raises(PartnerLimited):
        at(url).inventory("14", MONDAY, SOON)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"kind": "fail", "status": 500}, "server_error"),
        ({"kind": "fail", "status": 503}, "server_error"),
        ({"kind": "fail", "status": 599}, "server_error"),
        ({"kind": "fail", "status": 400}, "refused"),
        ({"kind": "fail", "status": 403}, "refused"),
        ({"kind": "fail", "status": 302}, "bad_answer"),
        ({"kind": "fail", "status": 201}, "bad_answer"),
        ({"kind": "fail", "status": 204}, "bad_answer"),
        ({"kind": "bad_json"}, "bad_answer"),
        ({"kind": "not_an_array"}, "bad_answer"),
        ({"kind": "huge"}, "bad_answer"),
        ({"kind": "drop"}, "dropped"),
        ({"kind": "cut"}, "dropped"),
    ],
)
def test_each_way_to_fail_has_its_code_and_is_one_request(
    partner: PartnerServer, told: dict[str, Any], code: str
) -> None:
    api = api_of(partner)
    partner.misbehave(**told)
    assert failed(api) == code
    assert len(partner.log) == 1
    partner.behave()
    assert api.inventory("15", SAMPLE_DATE, SOON).slots


@pytest.mark.parametrize("kind", ["missing_fields", "negative"])
def test_a_partner_that_lies_of_one_slot_is_believed_of_the_others(partner: PartnerServer, kind: str) -> None:
    partner.misbehave(kind)
    found = api_of(partner).inventory("14", MONDAY, SOON)
    first, *others = (each["providerSlotId"] for each in partner.inventory("14", MONDAY))
    assert [slot.slot_id for slot in found.slots] == sorted(others)
    assert [(each.slot_id, each.reason.partition(":")[0]) for each in found.rejected] == [(first, "remaining")]


def test_a_partner_that_is_slow_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner_calls, "_PIECE_WITHIN", 0.2)
    given_up = threading.Event()

    def say_nothing_until_given_up(connection: socket.socket) -> None:
        given_up.wait()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with raw_server(say_nothing_until_given_up) as url:
        assert failed(at(url)) == "timed_out"
        given_up.set()


def test_an_answer_that_trickles_in_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner_calls, "ANSWERED_WITHIN", 0.3)
    given_up = threading.Event()

    def trickle_until_given_up(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[")
        while not given_up.wait(0.05):
            connection.sendall(b" ")

    with raw_server(trickle_until_given_up) as url:
        assert failed(at(url)) == "timed_out"
        given_up.set()


@pytest.mark.parametrize("packing", ["gzip, gzip", "gzip,gzip", "gzip\r\nContent-Encoding: gzip", "deflate", "zstd"])
@pytest.mark.parametrize("status", [200, 429])
def test_an_answer_that_is_packed_twice_or_as_was_not_asked_for_is_never_unpacked(
    monkeypatch: pytest.MonkeyPatch, packing: str, status: int
) -> None:
    """A few hundred bytes that are packed twice would be millions before anybody can see how long they are."""
    packed = gzip.compress(gzip.compress(b" " * 1_000_000))
    answer = f"HTTP/1.1 {status} X\r\nContent-Encoding: {packing}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    unpacked: list[str] = []
    read_on = httpx.Response.iter_bytes
    monkeypatch.setattr(
        httpx.Response, "iter_bytes", lambda *about, **more: unpacked.append(packing) or read_on(*about, **more)
    )
    with raw_server(lambda connection: connection.sendall(answer + packed)) as url:
        if status == 429:
            with pytest.raises(PartnerLimited):
                at(url).inventory("14", MONDAY, SOON)
        else:
            assert failed(at(url)) == "bad_answer"
    assert unpacked == []


@pytest.mark.parametrize("packing", ["gzip", "GZIP", " gzip "])
def test_an_answer_that_is_packed_once_is_read(packing: str) -> None:
    packed = gzip.compress(b"[]")
    answer = f"HTTP/1.1 200 OK\r\nContent-Encoding: {packing}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with raw_server(lambda connection: connection.sendall(answer + packed)) as url:
        assert not at(url).inventory("14", MONDAY, SOON).slots
    plain = b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n[]"
    with raw_server(lambda connection: connection.sendall(plain)) as url:
        assert not at(url).inventory("14", MONDAY, SOON).slots


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "dropped"),
        (b"what?", "dropped"),
        (b"HTTP/1.1 OK\r\n\r\n", "dropped"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n\x00\x01", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[", "dropped"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]", "dropped"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n[]", "dropped"),
    ],
)
def test_whatever_comes_over_the_connection_is_one_of_the_failures(answer: bytes, code: str) -> None:
    with raw_server(lambda connection: connection.sendall(answer)) as url:
        assert failed(at(url)) == code


def test_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_about: Any, **_more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert failed(at(f"http://127.0.0.1:{port}")) == "unreachable"
    assert failed(at("http://127.0.0.1:99999")) == "unreachable"
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert failed(at("https://no-such-name.example")) == "unreachable"


def test_rule_19_a_request_that_would_be_sent_too_late_is_not_sent(partner: PartnerServer) -> None:
    api = api_of(partner)
    assert failed(api, send_within=0) == "not_sent"
    assert failed(api, send_within=-1) == "not_sent"
    assert partner.log == []


def test_rule_19_a_key_that_is_read_slowly_makes_the_request_too_late(partner: PartnerServer) -> None:
    def slowly() -> dict[str, str]:
        time.sleep(0.15)
        return {"api_key": partner.api_key}

    assert failed(InventoryApi(partner.url, slowly, Calls()), send_within=0.1) == "not_sent"
    assert partner.log == []


def test_rule_19_a_connection_that_takes_too_long_to_make_sends_nothing(
    partner: PartnerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def slowly(*about: Any, **more: Any) -> Any:
        time.sleep(0.3)
        return look_up(*about, **more)

    calls = Calls()
    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    assert failed(api_of(partner, calls), send_within=0.2) == "not_sent"
    monkeypatch.undo()
    assert partner.log == []
    assert api_of(partner, calls).inventory("15", SAMPLE_DATE, SOON).slots


def test_rule_19_nothing_is_repeated_and_no_redirect_followed(partner: PartnerServer) -> None:
    api = api_of(partner)
    for told in ({"kind": "drop"}, {"kind": "fail", "status": 503}, {"kind": "fail", "status": 307}):
        partner.misbehave(**told, times=1)
        failed(api)
    assert [arrival.status for arrival in partner.log] == [DROPPED, 503, 307]


@pytest.mark.parametrize(
    "secret",
    [
        *({}, {"api_key": ""}, {"api_key": "short"}, {"api_key": 12345678}, {"api_key": "with\r\nX-Other: header"}),
        *({"api_key": "ünprintable-in-a-header"}, {"api_key": " blank-before"}, {"api_key": None}),
    ],
)
def test_a_key_that_is_none_is_never_sent_and_never_told(
    partner: PartnerServer, secret: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    api = InventoryApi(partner.url, lambda: secret, Calls())
    with caplog.at_level(logging.DEBUG), pytest.raises(PartnerFailed) as wrong:
        api.inventory("15", SAMPLE_DATE, SOON)
    assert code_of(wrong.value) == "not_sent"
    assert partner.log == []
    told = str(secret.get("api_key") or "nothing")
    assert told not in str(wrong.value) + repr(wrong.value.__cause__) + caplog.text


@pytest.mark.parametrize("fault", [SecretMissing, SecretUnreadable])
def test_a_key_that_cannot_be_read_is_a_failure_of_ours(partner: PartnerServer, fault: type[Exception]) -> None:
    def read_key() -> dict[str, Any]:
        raise fault("/holdfast/partners/tours is not there")

    assert failed(InventoryApi(partner.url, read_key, Calls())) == "not_sent"
    assert failed(partner_inventory.made(partner.url, read_key)) == "not_sent"  # type: ignore[arg-type]


def test_the_key_is_read_for_each_request_so_that_a_new_one_is_used(partner: PartnerServer) -> None:
    key = "not-the-key-yet"
    api = InventoryApi(partner.url, lambda: {"api_key": key}, Calls())
    assert failed(api) == "refused"
    key = partner.api_key
    assert api.inventory("15", SAMPLE_DATE, SOON).slots


def test_neither_the_key_nor_the_answer_is_ever_logged_or_raised(
    partner: PartnerServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    api, texts = api_of(partner), []
    ways = ("slow fail limited bad_json not_an_array missing_fields negative drop cut").split()
    partner.say("15", SAMPLE_DATE, [{"providerSlotId": "private-text", "remaining": partner.api_key}])
    with caplog.at_level(logging.DEBUG):
        for kind in ways:
            partner.misbehave(kind, times=1, seconds=0.01)
            try:
                texts.append(repr(api.inventory("15", SAMPLE_DATE, SOON).rejected[0].reason))
            except (PartnerFailed, PartnerLimited) as wrong:
                texts.append(repr(wrong) + str(wrong))
    assert len(texts) == len(ways)
    captured = capsys.readouterr()
    told = "".join([*texts, caplog.text, captured.out, captured.err])
    assert partner.api_key not in told
    assert "private-text" not in told
