"""One token in many hands at once, on AWS's own DynamoDB Local: exactly one of them gets in."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from holdfast.abuse.captcha import gate as door
from holdfast.abuse.captcha.gate import CHECK_OUT, RESERVE, gate_of
from holdfast.abuse.captcha.spent import CaptchaItem
from holdfast.checkout.clearance import Clearance
from holdfast.checkout.opening import PaymentChoice, open_order
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Store, connect, read
from holdfast.platform.errors import Busy, CaptchaFailed, HoldfastError, Refused, Unavailable
from holdfast.platform.order_items import OrderItem
from holdfast.platform.policy import CaptchaPolicy
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys, limits_beside
from holdfast.reservations.gate import Gate
from tests.engine.audit import all_items, audit
from tests.engine.faults import Calls, Crash, conflict, crash_after, silence_after
from tests.engine.shop import Shop

CLIENTS = 8
TOKEN = "pass.1"
POLICY = CaptchaPolicy("sandbox", "site-key", ("shop.example.com",))


def gate(token: str | None = TOKEN, action: str = RESERVE) -> Gate:
    """Return the gate of a new request of a customer."""
    settings = json.dumps({"captcha": asdict(POLICY)})
    caller = Caller("demo", "alice", frozenset({"customer"}), settings=settings)
    found = gate_of(caller, token, action, "192.0.2.7")
    assert found is not None
    return found


@pytest.fixture
def shop(store: Store, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose requests have to pass a captcha, all with one token."""
    monkeypatch.setenv("SECRETS_PREFIX", "/holdfast")
    door._captchas.cache_clear()
    made = Shop(store)
    made.gates = gate
    return made


def spent(store: Store) -> list[CaptchaItem]:
    """Return the tokens that were spent."""
    return [read(CaptchaItem, raw) for raw in all_items(store, "demo") if "#CAPTCHA#" in raw["pk"]["S"]]


def held(shop: Shop, product: str) -> int:
    """Return how many of a product are held, once all items are seen to agree."""
    audit(all_items(shop.store, "demo"), shop.clock.now())
    raw = shop.store.get_raw(shop.keys.pool_shard(f"product.{product}", 0))
    assert raw is not None
    return int(raw["held"]["N"])


def at_once(shop: Shop, act: Callable[[int, Shop], Any]) -> list[Any]:
    """Let several warm functions do something at the same moment; return what each was answered, or the code."""
    ready = Barrier(CLIENTS)

    def client(number: int) -> Any:
        other = Shop(connect(shop.store._table), shop.clock, attempts=20)
        object.__setattr__(other.engine, "retries", Retries(attempts=20))
        other.gates = shop.gates
        assert other.store._connection.client
        ready.wait()
        try:
            return act(number, other)
        except HoldfastError as refused:
            return refused.code

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(client, range(CLIENTS)))


@pytest.mark.parametrize("route", ["hold", "reserve"])
def test_one_token_lets_one_of_many_in(shop: Shop, route: str) -> None:
    product = shop.product(100)
    for number in range(4):
        shop.gates = partial(gate, f"pass.{number}")
        answers = at_once(shop, lambda who, other: getattr(other, route)(f"user-{who}", {product: 1}))
        assert answers.count(CaptchaFailed.code) == CLIENTS - 1, answers
        assert (held(shop, product), len(spent(shop.store))) == (number + 1, number + 1)


def test_as_many_tokens_let_as_many_in(shop: Shop) -> None:
    product = shop.product(100)

    def act(number: int, other: Shop) -> Any:
        other.gates = lambda: gate(f"pass.{number}")
        return other.hold(f"user-{number}", {product: 1}).status

    assert at_once(shop, act) == ["held"] * CLIENTS
    assert (held(shop, product), len(spent(shop.store))) == (CLIENTS, CLIENTS)


def test_twins_of_one_request_get_one_answer_whichever_passes(shop: Shop) -> None:
    product = shop.product(100)
    answers = at_once(shop, lambda _, other: other.hold("alice", {product: 1}, key="k").id)
    assert len(set(answers)) == 1, answers
    assert (held(shop, product), len(spent(shop.store))) == (1, 1)


def test_one_token_opens_one_order_of_many(shop: Shop) -> None:
    product = shop.product(100)
    shop.gates = lambda: None
    records = [shop.hold(f"user-{number}", {product: 1}) for number in range(CLIENTS)]

    def act(number: int, other: Shop) -> Any:
        record = records[number]
        clearance = Clearance(limits_beside(record.key), gate=gate(action=CHECK_OUT))
        choice = PaymentChoice("sandbox", "tok_success")
        keyed = other.keyed(record.user_id, "check-out-reservation", "k", {})
        return open_order(other.engine, record, choice, keyed, clearance).status

    assert sorted(at_once(shop, act)) == [CaptchaFailed.code] * (CLIENTS - 1) + ["pending"]
    keys = [raw["sk"]["S"] for raw in all_items(shop.store, "demo")]
    assert sum(key.startswith("O#") for key in keys) == 1
    assert sum(key.startswith("K#") for key in keys) == 1


def test_a_token_that_another_spends_meanwhile_is_refused(shop: Shop) -> None:
    product = shop.product(100)
    mine = gate()
    mine.let_in()
    shop.hold("bob", {product: 1})
    shop.gates = lambda: mine
    with pytest.raises(CaptchaFailed):
        shop.hold("alice", {product: 1})
    assert held(shop, product) == 1


def test_what_is_refused_for_another_reason_spends_no_token(shop: Shop) -> None:
    product = shop.product(1)
    with pytest.raises(Refused):
        shop.hold("alice", {product: 2})
    assert not spent(shop.store)
    assert shop.hold("alice", {product: 1}).status == "held"
    (token,) = spent(shop.store)
    assert token.key == Keys("demo").captcha(TOKEN)


def test_conflicts_are_tried_again_with_the_same_token(shop: Shop) -> None:
    product = shop.product(100)
    Calls(shop.store).trouble(conflict, "TransactWriteItems", times=3)
    assert shop.hold("alice", {product: 1}).status == "held"
    assert len(spent(shop.store)) == 1


@pytest.mark.parametrize("route", ["hold", "reserve"])
def test_a_lost_answer_is_found_again_by_its_key_and_asks_for_no_captcha(shop: Shop, route: str) -> None:
    product = shop.product(100)
    calls = Calls(shop.store)
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises((Unavailable, Busy)):
        getattr(shop, route)("alice", {product: 1}, key="k")
    calls.stop()
    shop.gates = lambda: gate(None)
    assert getattr(shop, route)("alice", {product: 1}, key="k")
    assert (held(shop, product), len(spent(shop.store))) == (1, 1)


def test_a_crash_after_the_write_is_found_again_as_well(shop: Shop) -> None:
    product = shop.product(100)
    calls = Calls(shop.store)
    calls.trouble(crash_after, "TransactWriteItems")
    with pytest.raises(Crash):
        shop.hold("alice", {product: 1}, key="k")
    calls.stop()
    shop.gates = lambda: gate(None)
    assert shop.hold("alice", {product: 1}, key="k").status == "held"
    assert held(shop, product) == 1


def test_no_order_is_opened_without_a_captcha(shop: Shop) -> None:
    product = shop.product(100)
    record = shop.hold("alice", {product: 1})
    for token in (None, "fail", TOKEN, "wrong-action.9"):
        clearance = Clearance(limits_beside(record.key), gate=gate(token, CHECK_OUT))
        with pytest.raises(HoldfastError) as refusal:
            open_order(shop.engine, record, PaymentChoice("sandbox"), None, clearance)
        assert refusal.value.code in ("captcha_required", "captcha_failed")
    assert not [raw for raw in all_items(shop.store, "demo") if raw["sk"]["S"].startswith("O#")]
    clearance = Clearance(limits_beside(record.key), gate=gate("pass.2", CHECK_OUT))
    assert isinstance(open_order(shop.engine, record, PaymentChoice("sandbox"), None, clearance), OrderItem)


def test_reserving_without_captchas_costs_what_it_did(shop: Shop) -> None:
    product = shop.product(100)
    shop.warm(product)
    calls = Calls(shop.store)
    shop.gates = lambda: gate_of(
        Caller("demo", "alice", frozenset({"customer"}), settings="{}"), None, RESERVE, "192.0.2.7"
    )
    shop.hold("alice", {product: 1})
    assert calls.operations == ["TransactWriteItems"]
    calls.clear()
    shop.gates = gate
    shop.hold("alice", {product: 1})
    assert calls.operations == ["GetItem", "TransactWriteItems"]
