"""PROTOCOL.md, rules 7 to 9: reading a cancellation, ambiguous answers, naming every line in the way."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from holdfast.catalogue.products import stock
from holdfast.platform.errors import Busy, Refused, Unavailable
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.extension import extend
from tests.engine.faults import Answer, Call, Calls, cancelled, conflict, error, meanwhile, silence_after, throttled
from tests.engine.shop import Shop


def test_rule_07_the_own_reason_comes_before_a_conflict(shop: Shop, calls: Calls) -> None:
    """Rule 7: the twin's put is met together with a conflict on the shard: that is a replay, not a retry."""
    product = shop.product()
    first = shop.hold("ann", {product: 1}, "key")

    def both(call: Call) -> Answer:
        item = shop.store.get_raw(first.key)
        return cancelled(call, ["ConditionalCheckFailed", "TransactionConflict"], [item])

    calls.clear()
    calls.trouble(both, "TransactWriteItems", times=8)
    assert shop.hold("ann", {product: 1}, "key").id == first.id
    assert len(calls.transactions) == 1


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_rule_07_a_conflict_comes_before_a_shortage(shop: Shop, calls: Calls, code: str) -> None:
    """Rule 7: one line's shard is seen short while the other's conflicts: nothing is decided, the write is retried."""
    short, other = shop.product(units=1), shop.product()
    raw = shop.store.get_raw(shop.shards(short)[0].key)
    assert raw is not None
    emptied = {**raw, "available": {"N": "0"}}
    refuse: Callable[[Call], Answer] = lambda call: cancelled(  # noqa: E731
        call, ["None", "ConditionalCheckFailed", code], [None, emptied]
    )
    calls.trouble(refuse, "TransactWriteItems")
    assert shop.hold("ann", {short: 1, other: 1}).status == "held"
    assert len(shop.waits) == 1
    assert shop.hold("bob", {other: 1}).status == "held"


def test_rule_07_retries_go_elsewhere_with_jitter(shop: Shop, calls: Calls) -> None:
    """Rule 7: conflicts and throttles are tried again on another shard, waiting longer and longer, not forever."""
    product = shop.product(units=[5, 5, 5, 5])
    numbers = iter([0, 1, 2, 3])
    elsewhere = shop.another(choose=lambda _: next(numbers))
    calls.clear()
    for trouble in (conflict, throttled, conflict):
        calls.trouble(trouble, "TransactWriteItems")
    assert list(elsewhere.hold("ann", {product: 1}).allocated()) == [f"product.{product}#03"]
    drawn = [pk.rpartition("#")[2] for call in calls.transactions for pk, _ in call.written if "POOL" in pk]
    assert drawn == ["00", "01", "02", "03"]
    assert elsewhere.waits == sorted(elsewhere.waits)
    assert 0 < sum(elsewhere.waits) < 1


@pytest.mark.parametrize("act", ["confirm", "cancel", "extend", "reserve", "buy", "restock"])
@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_rule_07_every_write_survives_contention(
    shop: Shop, calls: Calls, act: str, trouble: Callable[[Call], Answer]
) -> None:
    """Rule 7: every other write of the engine meets other writers three times, and is made once."""
    product = shop.product()
    held = shop.hold("ann", {product: 2})
    shop.reserve("ann", {product: 1})
    acts: dict[str, Callable[[], object]] = {
        "confirm": lambda: confirm(shop.engine, held.key),
        "cancel": lambda: cancel(shop.engine, held.key),
        "extend": lambda: extend(shop.engine, held.key, None, "request"),
        "reserve": lambda: shop.reserve("ann", {product: 1}),
        "buy": lambda: shop.buy("ann", product, 1),
        "restock": lambda: stock.set_total(shop.engine, "demo", product, 12),
    }
    calls.trouble(trouble, "UpdateItem" if act == "extend" else "TransactWriteItems", times=3)
    acts[act]()
    wanted = {
        "confirm": (7, 1, 2),
        "cancel": (9, 1, 0),
        "extend": (7, 3, 0),
        "reserve": (6, 4, 0),
        "buy": (7, 2, 1),
        "restock": (9, 3, 0),
    }
    assert shop.count(product) == wanted[act]
    shop.audit()


@pytest.mark.parametrize("read", [None, "BatchGetItem"])
def test_rule_07_a_throttled_read_is_busy_and_nothing_else(shop: Shop, calls: Calls, read: str | None) -> None:
    """Rule 7: the catalogue, or the proof that a pool is sold out, cannot be read now, which says nothing."""
    product = shop.product(units=[0, 0])
    if read == "BatchGetItem":
        shop.warm(product)
    calls.trouble(throttled, read)
    with pytest.raises(Busy) as busy:
        shop.hold("ann", {product: 1})
    assert busy.value.sentence == Busy.sentence


def lose_answers(shop: Shop, operation: str, times: int = 1) -> list[bytes]:
    """Let requests be made and their answers be lost on the way; return the bodies of all that are sent."""
    client: Any = shop.store._connection.client
    bodies: list[bytes] = []

    def send(request: Any, **_: Any) -> AWSResponse | None:
        bodies.append(bytes(request.body))
        if len(bodies) > times:
            return None
        client._endpoint.http_session.send(request)
        return _Lost(request.url, 500, {}, None)

    client.meta.events.register(f"before-send.dynamodb.{operation}", send)
    return bodies


class _Lost(AWSResponse):
    """An answer of which nothing arrived."""

    @property
    def content(self) -> bytes:
        return b""


def test_rule_08_ambiguous_answers_a_transaction_keeps_its_token(shop: Shop) -> None:
    """Rule 8: an add was made and its answer lost; botocore sends it again with the same token, and it counts once."""
    product = shop.product()
    shop.reserve("ann", {product: 1})
    bodies = lose_answers(shop, "TransactWriteItems", times=1)
    assert shop.reserve("ann", {product: 2})[0].quantity == 3
    tokens = [body.split(b'"ClientRequestToken"')[1][:45] for body in bodies]
    assert len(tokens) == 3
    assert len(set(tokens)) == 2
    assert shop.count(product) == (7, 3, 0)
    shop.audit()


def test_rule_08_the_token_never_comes_from_the_idempotency_key(shop: Shop) -> None:
    """Rule 8: the same key twice sends two tokens: else the second transaction would be answered by the first's."""
    product = shop.product()
    bodies = lose_answers(shop, "TransactWriteItems", times=0)
    shop.hold("ann", {product: 2}, "key")
    shop.hold("ann", {product: 2}, "key")
    tokens = {body.split(b'"ClientRequestToken"')[1][:45] for body in bodies}
    assert len(tokens) == 2


def test_rule_08_a_single_update_knows_its_own_writing(shop: Shop) -> None:
    """Rule 8: an extension was made and its answer lost; the retry meets its own effect, which is a success."""
    product = shop.product()
    held = shop.hold("ann", {product: 1})
    bodies = lose_answers(shop, "UpdateItem")
    extended = extend(shop.engine, held.key, None, "request")
    assert len(bodies) == 2
    assert extended.expires_at == held.expires_at + 300_000
    assert extend(shop.engine, held.key, None, "request").expires_at == extended.expires_at


def test_rule_08_a_lost_answer_skips_a_product_number_and_gives_none_twice(shop: Shop) -> None:
    """Rule 8: the counter's update was made twice, since its answer was lost; no two products share an id."""
    first = shop.product()
    lose_answers(shop, "UpdateItem")
    assert len({first, shop.product(), shop.product()}) == 3


def test_rule_08_a_transaction_still_in_progress_is_not_tried_anew(shop: Shop, calls: Calls) -> None:
    """Rule 8: its answer was lost and its twin is told that it is in progress: it may yet be made, so no second one.

    With a fresh token a deal hold would be added to twice.
    """
    product = shop.product()

    def in_progress(call: Call) -> Answer:
        call.make()
        raise error("TransactionInProgressException", call.operation)

    calls.trouble(in_progress, "TransactWriteItems")
    with pytest.raises(Unavailable):
        shop.reserve("ann", {product: 2})
    assert shop.deal("ann", product).lines[0].quantity == 2


@pytest.mark.parametrize("route", ["unified", "older"])
def test_rule_08_silence_is_unavailable_and_the_same_key_is_safe(shop: Shop, calls: Calls, route: str) -> None:
    """Rule 8: no answer in time, though the write was made; with its key the request is repeated and counts once."""
    product = shop.product()
    ask = shop.hold if route == "unified" else shop.reserve
    calls.trouble(silence_after, "TransactWriteItems")
    with pytest.raises(Unavailable) as silent:
        ask("ann", {product: 2}, "key")
    assert silent.value.retry_after == 1
    ask("ann", {product: 2}, "key")
    assert shop.count(product) == (8, 2, 0)


def test_rule_08_time_outs_are_far_inside_the_functions(shop: Shop) -> None:
    """Rule 8: connect and read within 1 to 2 s, and few attempts: PynamoDB's own defaults are 60 s."""
    config = shop.store._connection.client.meta.config
    assert 1 <= config.connect_timeout <= 2
    assert 1 <= config.read_timeout <= 2
    assert config.retries["total_max_attempts"] * (config.read_timeout + config.connect_timeout) < 10


def test_rule_09_a_refusal_names_every_line_in_the_way(shop: Shop, calls: Calls) -> None:
    """Rule 9: one line's condition failed; the others are looked at once, all faults named in the cart's order."""
    plenty, short, limited, scattered = (
        shop.product(),
        shop.product(units=1),
        shop.product(max_per_user=3),
        shop.product(units=[1, 1]),
    )
    shop.hold("ann", {limited: 2})
    calls.clear()
    with pytest.raises(Refused) as refused:
        shop.hold("ann", {plenty: 1, limited: 2, short: 2, scattered: 3})
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [
        ("items.1", "limit_exceeded"),
        ("items.2", "insufficient_stock"),
        ("items.3", "insufficient_stock"),
    ]
    with pytest.raises(Refused) as refused:
        shop.hold("ann", {plenty: 1, "404": 1, scattered: 3, limited: 2})
    assert [fault.field for fault in refused.value.faults] == ["items.1", "items.2", "items.3"]
    assert shop.count(plenty) == (10, 0, 0)


def test_rule_09_a_line_that_ran_short_meanwhile_is_named_too(shop: Shop, calls: Calls) -> None:
    """Rule 9: only the first line was short when the transaction was refused; the re-read sees both."""
    one, two = shop.product(units=1), shop.product(units=1)
    shop.hold("bob", {one: 1})
    other = shop.another()
    shop.warm(one, two)
    calls.trouble(meanwhile(lambda: other.hold("bob", {two: 1})), "BatchGetItem")
    with pytest.raises(Refused) as refused:
        shop.hold("ann", {one: 1, two: 1})
    assert [fault.field for fault in refused.value.faults] == ["items.0", "items.1"]
