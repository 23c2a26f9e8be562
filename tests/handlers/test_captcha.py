"""Captchas, where a tenant asks for them: on every route that reserves or checks out, in whatever way they fail."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from holdfast.abuse.captcha import gate as door
from holdfast.abuse.captcha.registry import Captchas
from holdfast.abuse.captcha.spent import CaptchaItem
from holdfast.platform.access import ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.tables import Keys
from tests.abuse.outside import PROVIDERS, SECRET, Outside, Says
from tests.handlers import box_office, halls, marketplace
from tests.handlers.account import Aws
from tests.handlers.gateway import FUNCTIONS, Answer, Api, load, resource_of

HOST = "shop.example.com"
SANDBOX = {"provider": "sandbox", "site_key": "site-key", "hosts": [HOST]}
HEADER = "X-Captcha-Token"


def asking(api: Api, **more: Any) -> Api:
    """Return the API of the same tenant, once it asks for captchas."""
    return replace(api, settings=json.dumps({"captcha": SANDBOX | more}))


@dataclass(frozen=True)
class Way:
    """A way to reserve or check out; `ready` makes what it is done with and returns address and body.

    `field` is what the body calls the token, if it may carry one. `keyed` ways cannot do without an idempotency key.
    """

    method: str
    action: str
    ready: Callable[[Api], tuple[str, dict[str, Any]]]
    success: int
    field: str | None = None
    keyed: bool = False

    def of(self, api: Api) -> Callable[..., Answer]:
        """Make ready, and return what sends the request with a token in its header, under a key if one is given."""
        target, body = self.ready(replace(api, settings=""))

        def send(
            token: str | None = None, key: str | None = None, by: Api | None = None, in_body: str | None = None
        ) -> Answer:
            headers = {} if token is None else {HEADER: token}
            said = body if in_body is None else body | {str(self.field): in_body}
            if self.keyed and key is None:
                key = uuid.uuid4().hex
            return (by or api).request(self.method, target, said, headers=headers, key=key)

        return send


def _product(api: Api) -> tuple[str, dict[str, Any]]:
    return "/api/reserve", {"user_id": "alice", "product_id": api.new_product(), "quantity": 1}


def _tickets(api: Api) -> tuple[str, dict[str, Any]]:
    event = box_office.new_event(api, rows=1, seats=3)
    return "/api/reserve", box_office.wish("alice", event, box_office.seats((1, 1), (1, 2)), box_office.general(2))


def _bulk(api: Api) -> tuple[str, dict[str, Any]]:
    items = [{"product_id": api.new_product(), "quantity": 1} for _ in range(2)]
    return "/api/reserve/bulk", {"user_id": "alice", "items": items}


def _cart(api: Api) -> tuple[str, dict[str, Any]]:
    items = [{"kind": "product", "product_id": api.new_product(), "quantity": 1}]
    return "/api/v1/reservations", {"user_id": "alice", "items": items}


def _resale(api: Api) -> tuple[str, dict[str, Any]]:
    return "/api/orders", {"ticketId": marketplace.new_ticket(api)["id"], "userId": "bob"}


def _hall(api: Api) -> tuple[str, dict[str, Any]]:
    venue = halls.new_hall(api)
    evening = {"startTs": "2031-03-10T18:00:00Z", "endTs": "2031-03-10T22:00:00Z"}
    return "/api/v1/bookings", {"venueId": venue, "customer": halls.CUSTOMER, **evening}


def _hall_by_address(api: Api) -> tuple[str, dict[str, Any]]:
    _, body = _hall(api)
    return f"/api/v1/venues/{body.pop('venueId')}/bookings", body


def _held_product(api: Api) -> tuple[str, dict[str, Any]]:
    target, body = _product(api)
    assert api.post(target, body).status == 200
    return "/api/checkout", body


def _held_tickets(api: Api) -> tuple[str, dict[str, Any]]:
    target, body = _tickets(api)
    assert api.post(target, body).status == 200
    return "/api/checkout", body


def _held_cart(api: Api) -> tuple[str, dict[str, Any]]:
    product = api.new_product(price="19.99")
    held = api.hold("alice", product).json["id"]
    return f"/api/v1/reservations/{held}/checkout", {"payment": {"provider": "sandbox", "token": "tok_success"}}


def _held_deal(api: Api) -> tuple[str, dict[str, Any]]:
    held = api.reserve("alice", api.new_product(price="19.99"), 2).data["reservation_id"]
    return f"/api/v1/reservations/{held}/checkout", {"payment": {"provider": "sandbox", "token": "tok_success"}}


def _held_resale(api: Api) -> tuple[str, dict[str, Any]]:
    target, body = _resale(api)
    ordered = api.post(target, body)
    assert ordered.status == 201
    return "/api/payments", {"token": "tok_success", "orderId": ordered.json["id"]}


WAYS = {
    "deal": Way("POST", "reserve", _product, 200),
    "tickets": Way("POST", "reserve", _tickets, 200, "captchaToken"),
    "bulk": Way("POST", "reserve", _bulk, 200),
    "cart": Way("POST", "reserve", _cart, 201, "captcha_token", keyed=True),
    "resale": Way("POST", "reserve", _resale, 201),
    "hall": Way("POST", "reserve", _hall, 201, keyed=True),
    "hall by its address": Way("POST", "reserve", _hall_by_address, 201, keyed=True),
    "deal bought": Way("POST", "checkout", _held_product, 200),
    "tickets bought": Way("POST", "checkout", _held_tickets, 200, "captchaToken"),
    "tickets bought by PUT": Way("PUT", "checkout", _held_tickets, 200, "captchaToken"),
    "cart bought": Way("POST", "checkout", _held_cart, 202, "captcha_token", keyed=True),
    "deal paid for": Way("POST", "checkout", _held_deal, 202, "captcha_token", keyed=True),
    "resale paid for": Way("POST", "checkout", _held_resale, 201),
}


WITH_FIELD = [name for name, way in WAYS.items() if way.field is not None]


@pytest.fixture(params=sorted(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in turn."""
    return WAYS[request.param]


@pytest.fixture(autouse=True)
def _anew() -> None:
    """Captchas as a cold function has them."""
    door._captchas.cache_clear()


def codes(answer: Answer) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status, answer.code


def test_every_route_that_reserves_or_checks_out_declares_captchas_and_is_tried_here(api: Api) -> None:
    """A new one has to be among the ways above, whatever it does."""
    tried = {(way.method, resource_of(way.ready(api)[0])) for way in WAYS.values()}
    assert _declaring() == tried
    assert all(method in ROUTES[address] for method, address in tried)


def _declaring() -> set[tuple[str, str]]:
    """Return the routes whose functions declare that a captcha may be asked for."""
    found = set()
    for folder in sorted(FUNCTIONS.iterdir()):
        if not (folder / "app.py").is_file() or not hasattr(load(folder.name), "app"):
            continue
        for route in load(folder.name).app._static_routes + load(folder.name).app._dynamic_routes:
            examples = (route.responses or {}).get(400, {}).get("content", {}).get("application/json", {})
            if "captcha_required" in examples.get("examples", {}):
                address = next(
                    known for known in ROUTES if _as_rule(known) == route.path and route.method in ROUTES[known]
                )
                found.add((route.method, address))
    return found


def _as_rule(address: str) -> str:
    return address.replace("{", "<").replace("}", ">")


def test_a_good_token_lets_in(way: Way, api: Api, aws: Aws) -> None:
    send = way.of(asking(api))
    answer = send("pass.1")
    assert answer.status == way.success, answer.text
    spent = [item for item in aws.items() if "#CAPTCHA#" in item["pk"]["S"]]
    assert len(spent) == 1


@pytest.mark.parametrize("name", WITH_FIELD)
def test_the_token_may_come_in_the_body_where_bodies_have_it(api: Api, name: str) -> None:
    way = WAYS[name]
    send = way.of(asking(api))
    assert codes(send(in_body="")) == (400, "captcha_required")
    assert codes(send(in_body="fail.1")) == (403, "captcha_failed")
    assert codes(send("fail.1", in_body="pass.1")) == (403, "captcha_failed")
    answer = send(in_body="pass.1")
    assert answer.status == way.success, answer.text


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, (400, "captcha_required")),
        ("", (400, "captcha_required")),
        ("fail.1", (403, "captcha_failed")),
        ("forged", (403, "captcha_failed")),
        ("low-score.1", (403, "captcha_failed")),
        ("wrong-action.1", (403, "captcha_failed")),
        ("wrong-host.1", (403, "captcha_failed")),
        ("old.1", (403, "captcha_failed")),
        ("used.1", (403, "captcha_failed")),
        ("x" * 8_193, (403, "captcha_failed")),
        ("pass 1", (403, "captcha_failed")),
        ("outage.1", (503, "captcha_unavailable")),
    ],
)
@pytest.mark.parametrize("role", ["service", "customer"])
def test_whoever_is_refused_changes_nothing(
    way: Way, api: Api, aws: Aws, token: str | None, expected: tuple[int, str], role: str
) -> None:
    send = way.of(asking(api))
    by = asking(api) if role == "service" else asking(api.as_user("bob" if "resale" in str(way.ready) else "alice"))
    before = aws.dump()
    answer = send(token, by=by)
    assert codes(answer) == expected
    assert aws.dump() == before
    assert ("Retry-After" in answer.headers) == (expected[0] == 503)
    if expected[1] == "captcha_failed":
        assert set(answer.json) == {"success", "error", "code", "request_id"}, "why is nobody's to know"


def test_a_refusal_does_not_stand_in_the_way_of_another_try(way: Way, api: Api) -> None:
    send = way.of(asking(api))
    for token in (None, "fail.1", "outage"):
        assert send(token, key="k").status in (400, 403, 503)
    answer = send("pass.1", key="k")
    assert answer.status == way.success, answer.text


def test_a_token_is_good_once_on_all_routes_together(api: Api, aws: Aws) -> None:
    ways = [way.of(asking(api)) for way in WAYS.values()]
    assert ways[0]("pass.1").status == 200
    before = _but_for_counters(aws)
    for send in ways:
        assert codes(send("pass.1")) == (403, "captcha_failed")
    assert _but_for_counters(aws) == before


def _but_for_counters(aws: Aws) -> list[dict[str, Any]]:
    """Return all items but those that give numbers out: one that is given out in vain is left out."""
    return [item for item in aws.items() if not item["pk"]["S"].endswith("#COUNTERS")]


def test_tenants_do_not_use_one_another_s_tokens_up(api: Api) -> None:
    other = replace(api, tenant=f"{api.tenant}-b")
    assert WAYS["deal"].of(asking(api))("pass.1").status == 200
    assert WAYS["deal"].of(asking(other))("pass.1").status == 200


def test_what_was_answered_is_answered_again_without_a_captcha(way: Way, api: Api, aws: Aws) -> None:
    """Nor does it matter which token comes with it: it says nothing of what is asked for."""
    send = way.of(asking(api))
    first = send("pass.1", key="k")
    assert first.status == way.success, first.text
    before = aws.dump()
    for token in (None, "pass.1", "pass.2", "fail.1", "outage"):
        again = send(token, key="k")
        assert again.status in (way.success, 200), again.text
        assert _id_of(again) == _id_of(first)
    if way.field is not None:
        again = send(key="k", in_body="pass.3")
        assert again.status in (way.success, 200), again.text
        assert _id_of(again) == _id_of(first)
    assert aws.dump() == before


def _id_of(answer: Answer) -> Any:
    found = answer.json
    for name in ("data", "booking"):
        found = found.get(name, found)
    names = ("id", "reservation_id", "reservationId", "purchaseId")
    return next((found[name] for name in names if name in found), found.get("reserved"))


def test_a_token_is_used_up_by_nothing_that_was_not_had(api: Api, aws: Aws) -> None:
    """Sold out, wrong in itself, or not there: what is refused for that spends no token of ours."""
    asked = asking(api)
    product = api.new_product(1)
    assert api.reserve("bob", product).status == 200
    event = box_office.new_event(api, rows=1, seats=1)
    before = aws.dump()
    for body, code in (
        ({"user_id": "alice", "product_id": product, "quantity": 1}, "insufficient_stock"),
        ({"user_id": "alice", "product_id": "999", "quantity": 1}, "product_not_found"),
        (box_office.wish("alice", event, box_office.seats((1, 7))), None),
    ):
        for token, expected in ((None, "captcha_required"), ("fail.1", "captcha_failed"), ("pass.1", code)):
            headers = {} if token is None else {HEADER: token}
            answer = asked.post("/api/reserve", body, headers=headers)
            assert answer.status >= 400
            assert expected is None or answer.code == expected, answer.text
    assert aws.dump() == before
    assert WAYS["deal"].of(asked)("pass.1").status == 200


def test_nobody_is_made_a_user_by_a_booking_that_is_refused(api: Api, identity_store: Store) -> None:
    send = WAYS["hall"].of(asking(api))
    for token in (None, "fail.1", "outage"):
        send(token)
    assert not identity_store.query(Keys(api.tenant).people()).items
    assert send("pass.1").status == 201
    assert len(identity_store.query(Keys(api.tenant).people()).items) == 1


def test_a_tenant_that_asks_for_none_is_not_asked(way: Way, api: Api, aws: Aws) -> None:
    answer = way.of(api)("fail.1")
    assert answer.status == way.success, answer.text
    assert not [item for item in aws.items() if "#CAPTCHA#" in item["pk"]["S"]]


def test_an_outage_lets_everybody_in_where_the_tenant_says_so(way: Way, api: Api) -> None:
    send = way.of(asking(api, admits_in_outage=True))
    assert codes(send()) == (400, "captcha_required")
    assert codes(send("fail.1")) == (403, "captcha_failed")
    answer = send("outage.1")
    assert answer.status == way.success, answer.text
    assert codes(WAYS["deal"].of(asking(api, admits_in_outage=True))("outage.1")) == (403, "captcha_failed")


def test_a_tenant_s_own_servers_may_be_spared(way: Way, api: Api) -> None:
    send = way.of(asking(api, asks_service_keys=False))
    answer = send()
    assert answer.status == way.success, answer.text


@pytest.mark.parametrize("roles", ["customer", "staff", "admin"])
def test_people_are_not_spared(api: Api, roles: str) -> None:
    asked = asking(replace(api, name="alice", roles=roles), asks_service_keys=False)
    send = WAYS["deal"].of(asking(api))
    assert codes(send(by=asked)) == (400, "captcha_required")
    assert send("pass.1", by=asked).status == 200


def test_reading_cancelling_and_extending_ask_for_no_captcha(api: Api) -> None:
    asked = asking(api)
    held = asked.request("POST", *WAYS["cart"].ready(api), key="k", headers={HEADER: "pass.1"}).json["id"]
    assert asked.get(f"/api/v1/reservations/{held}").status == 200
    assert asked.post(f"/api/v1/reservations/{held}/extend").status == 200
    assert asked.delete(f"/api/v1/reservations/{held}").status == 200


def test_a_buyer_who_pays_again_after_a_failed_payment_is_asked_again(api: Api) -> None:
    target, body = WAYS["cart bought"].ready(api)
    asked = asking(api)
    declined = body | {"payment": {"provider": "sandbox", "token": "tok_declined"}}
    assert asked.post(target, declined, key="1", headers={HEADER: "pass.1"}).status in (200, 202)
    assert codes(asked.post(target, body, key="2")) == (400, "captcha_required")
    assert codes(asked.post(target, body, key="2", headers={HEADER: "pass.1"})) == (403, "captcha_failed")
    assert asked.post(target, body, key="2", headers={HEADER: "pass.2"}).status in (200, 202)


@pytest.mark.parametrize("value", [1, True, [], {}, "x" * 8_193])
@pytest.mark.parametrize("name", WITH_FIELD)
def test_a_token_in_a_body_is_a_text_of_at_most_8192_characters(api: Api, name: str, value: Any) -> None:
    for asked in (api, asking(api)):
        answer = WAYS[name].of(asked)(in_body=value)
        assert codes(answer) == (400, "validation_failed")
        assert str(WAYS[name].field) in answer.faults()


class Kept(dict[str, Any]):
    """Secrets that are kept here."""

    def read(self, name: str) -> Any:
        """Return one of them."""
        return self[name]


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A provider's server."""
    running = Outside()
    yield running
    running.stop()


@pytest.fixture
def provider(api: Api, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """Turnstile, for the tenant."""
    kept = Kept({f"captcha/{api.tenant}/turnstile": {"secret": SECRET, "base_url": outside.url}})
    captchas = Captchas(kept)
    monkeypatch.setattr(door, "_captchas", lambda: captchas)
    return outside


def _solved_now(action: str) -> dict[str, Any]:
    from holdfast.platform.clock import to_text

    return PROVIDERS["turnstile"].good | {"action": action, "challenge_ts": to_text(SystemClock().now())}


def test_a_provider_outside_is_asked_for_the_route_s_own_action(way: Way, api: Api, provider: Outside) -> None:
    send = way.of(asking(api, provider="turnstile"))
    provider.say(_solved_now("checkout" if way.action == "reserve" else "reserve"))
    assert codes(send("0.token")) == (403, "captcha_failed")
    provider.say(_solved_now(way.action))
    answer = send("0.other")
    assert answer.status == way.success, answer.text
    assert [asked.form["response"] for asked in provider.asked] == ["0.token", "0.other"]
    assert "remoteip" not in provider.asked[0].form, "a tenant's own server is not the buyer"


def test_a_buyer_s_address_is_the_gateway_s_word_for_it(api: Api, provider: Outside) -> None:
    provider.say(_solved_now("reserve"))
    asked = asking(api.as_user("alice"), provider="turnstile")
    headers = {HEADER: "0.token", "X-Forwarded-For": "203.0.113.9", "X-Real-Ip": "203.0.113.9"}
    target, body = WAYS["deal"].ready(api)
    assert asked.post(target, body, headers=headers).status == 200
    assert provider.asked[0].form["remoteip"] == "192.0.2.1"


def test_a_provider_that_is_out_is_503_on_every_route(way: Way, api: Api, aws: Aws, provider: Outside) -> None:
    send = way.of(asking(api, provider="turnstile"))
    before = aws.dump()
    provider.say(Says(b"<html>", 502, "text/html"))
    answer = send("0.token")
    assert codes(answer) == (503, "captcha_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert aws.dump() == before


def test_a_spent_token_names_nobody_and_goes_by_itself(api: Api, store: Store) -> None:
    assert WAYS["deal"].of(asking(api))("pass.1").status == 200
    item = store.get(CaptchaItem, Keys(api.tenant).captcha("pass.1"))
    assert item is not None
    assert set(item.attribute_values) == {"pk", "sk", "spent_by", "ttl"}
    assert 600 < item.ttl - SystemClock().now() // 1000 <= 86_400
