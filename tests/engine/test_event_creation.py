"""Events and ticket types on DynamoDB Local: made once, whatever is lost, repeated or done at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.catalogue.events import events, ticket_types
from holdfast.catalogue.events.events import NewEvent
from holdfast.catalogue.events.ticket_types import NewTicketType
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import EventNotFound, IdempotencyKeyReused, Unavailable
from holdfast.platform.items import EventItem, PoolShardItem, TicketTypeItem
from holdfast.platform.tables import id_of
from tests.engine.faults import (
    Answer,
    Call,
    Calls,
    Crash,
    Trouble,
    conflict,
    crash_after,
    crash_before,
    silence_after,
    throttled,
)
from tests.engine.shop import Shop

OPENING = NewEvent("Opening night", "2031-06-01", "Old Theatre", None)
STANDING = NewTicketType("Standing", 2_000, "USD", 1_000, None, expected_peak=1_000)


def announced(shop: Shop, key: str | None = None, event: NewEvent = OPENING) -> EventItem:
    return events.create(shop.engine, shop.tenant, event, shop.keyed("admin", "events", key, event.name))


def on_sale(shop: Shop, key: str | None = None) -> TicketTypeItem:
    keyed = shop.keyed("admin", "events/1/ticket-types", key, "standing")
    return ticket_types.create(shop.engine, shop.tenant, "1", STANDING, keyed)


def all_events(shop: Shop) -> list[str]:
    return [id_of(event.key) for event in events.list_all(shop.engine, shop.tenant, 100, None)[0]]


def units(shop: Shop, ticket_type: str) -> int:
    """Return how many tickets the shards of a type have in all."""
    keys = [shop.keys.ticket_shard("1", ticket_type, number) for number in range(4)]
    return sum(PoolShardItem.from_raw_data(raw).total for raw in shop.store.batch_get(keys).values())


def test_an_event_and_a_ticket_type_are_each_one_write_after_their_number(shop: Shop, calls: Calls) -> None:
    announced(shop)
    assert calls.operations == ["UpdateItem", "PutItem"], "an item by itself needs no transaction"
    calls.clear()
    on_sale(shop, key="k")
    assert calls.operations == ["GetItem", "GetItem", "UpdateItem", "TransactWriteItems"]
    assert len(calls.transactions[0].writes) == 6, "the record, the ticket type and its four shards"
    assert units(shop, "1") == 1_000


@pytest.mark.parametrize("trouble", [crash_before, crash_after, silence_after])
def test_a_keyed_request_that_broke_off_is_made_once_by_its_repetition(
    shop: Shop, calls: Calls, trouble: Trouble
) -> None:
    """PROTOCOL.md 3: a number may be skipped, a second event is never made."""
    calls.trouble(trouble, "TransactWriteItems")
    with pytest.raises((Crash, Unavailable)):
        announced(shop, key="k")
    made = announced(shop, key="k")
    assert all_events(shop) == [id_of(made.key)]
    assert announced(shop, key="k").attribute_values == made.attribute_values
    with pytest.raises(IdempotencyKeyReused):
        announced(shop, key="k", event=NewEvent("Other", "2031-06-01", "Old Theatre", None))


@pytest.mark.parametrize("make", [announced, on_sale])
@pytest.mark.parametrize("trouble", [conflict, throttled])
def test_conflicts_and_throttles_are_waited_out(
    shop: Shop, calls: Calls, make: Callable[[Shop], object], trouble: Trouble
) -> None:
    if make is on_sale:
        announced(shop)
    calls.trouble(trouble, "TransactWriteItems" if make is on_sale else "PutItem", times=2)
    make(shop)
    assert len(shop.waits) == 2
    assert all_events(shop) == ["1"]


def test_a_write_that_a_throttled_attempt_made_after_all_is_known_again(shop: Shop, calls: Calls) -> None:
    """PROTOCOL.md 8: the number is nobody else's, so what is there under it is one's own."""

    def made_and_turned_away(call: Call) -> Answer:
        call.make()
        return throttled(call)

    announced(shop)
    calls.trouble(made_and_turned_away, "TransactWriteItems")
    made = on_sale(shop)
    assert [id_of(kind.key) for kind in ticket_types.list_of(shop.engine, shop.tenant, "1")] == [id_of(made.key)]
    assert units(shop, "1") == 1_000


def test_twins_make_one_event(shop: Shop) -> None:
    """PROTOCOL.md 3: of requests under one key at once, all get the same answer."""
    crowd = [shop.another(connect(shop.store._table)) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda one: announced(one, key="k").attribute_values, crowd))
    assert all(one == made[0] for one in made)
    assert len(all_events(shop)) == 1


def test_events_made_at_once_have_numbers_of_their_own(shop: Shop) -> None:
    crowd = [shop.another(connect(shop.store._table)) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(announced, crowd))
    assert all_events(shop) == [str(number) for number in range(1, 7)]


def test_a_ticket_type_of_no_event_takes_no_number(shop: Shop) -> None:
    with pytest.raises(EventNotFound):
        on_sale(shop)
    announced(shop)
    assert id_of(on_sale(shop).key) == "1"
