"""PROTOCOL.md's rules for things that exist once: seats and resale tickets. Each test is an interleaving."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.write_units import counted
from holdfast.catalogue.listings import listings
from holdfast.platform.dynamodb import Update
from holdfast.platform.errors import (
    AlreadyExtended,
    HoldTaken,
    IdempotencyKeyReused,
    Malformed,
    ReservationOver,
    TicketLocked,
)
from holdfast.platform.items import ReservationItem, UnitItem
from holdfast.platform.tables import is_hold
from holdfast.reservations.ending import cancel, confirm, withdraw
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle, sweep
from tests.engine.faults import Answer, Call, Calls, cancelled, conflict, meanwhile, throttled
from tests.engine.shop import ListQueue, ManualClock, Shop, refusal, resale, seat, units

LENGTH = 600_000
TAKEN = [("items.0", "seat_taken")]


@pytest.fixture(name="shop")
def _shop(shop: Shop) -> Shop:
    """A shop with a row of five seats."""
    shop.seats({"A": 5})
    return shop


def holder(shop: Shop, number: int) -> str | None:
    """Return who has a seat of the row."""
    return shop.unit(shop.seat_key("A", number)).holder


def fast(shop: Shop, ahead: int) -> Shop:
    """Return another warm function, whose clock is ahead by so many milliseconds."""
    return Shop(shop.store, ManualClock(shop.clock.now() + ahead), shop.tenant)


def made_but_throttled(call: Call) -> Answer:
    """Make the call, lose its answer, and have what botocore tries next turned away."""
    call.make()
    return throttled(call)


def reprice_seat(shop: Shop, number: int) -> None:
    """Change a seat's price, which takes a lapsed hold off it."""
    actions = [UnitItem.revision.add(1), UnitItem.price_minor.set(900), UnitItem.version.add(1)]
    actions += [UnitItem.holder.remove(), UnitItem.held_until.remove()]
    shop.store.write(Update(shop.seat_key("A", number), actions))


def test_rule_01_a_seats_price_is_guarded_on_the_seat_itself(shop: Shop, calls: Calls) -> None:
    """Rule 1: the price changes right before the write; the reserve is made at the new one, and names no other item."""
    calls.trouble(meanwhile(lambda: reprice_seat(shop, 1)), "TransactWriteItems")
    held = shop.cart("ann", seat("A", 1))
    assert held.lines[0].unit_price_minor == 900
    assert calls.transactions[-1].written == [held.key, shop.seat_key("A", 1)]


def test_rule_02_a_seat_twice_in_one_cart_is_refused_before_writing(shop: Shop, calls: Calls) -> None:
    """Rule 2: two lines want the same seat: the second is named, and nothing is written."""
    with pytest.raises(Malformed) as twice:
        shop.cart("ann", seat("A", 1), seat("A", 2), seat("A", 1))
    assert [(fault.field, fault.code) for fault in twice.value.faults] == [("items.2", "duplicate")]
    assert calls.transactions == []


def test_rule_03_a_replay_is_found_whatever_became_of_the_seat(shop: Shop) -> None:
    """Rule 3: the hold lapsed and the seat is another's; the key still answers as at first, to the same body."""
    first = shop.cart("ann", seat("A", 1), key="key")
    shop.clock.forward(LENGTH)
    shop.cart("bob", seat("A", 1))
    again = shop.cart("ann", seat("A", 1), key="key")
    assert (again.id, again.status, again.expires_at) == (first.id, "held", first.expires_at)
    with pytest.raises(IdempotencyKeyReused):
        shop.cart("ann", seat("A", 2), key="key")


def test_rule_07_a_conflict_beside_a_taken_seat_is_retried_first(shop: Shop, calls: Calls) -> None:
    """Rule 7: the same cancellation says that one seat is taken and another in conflict: no refusal is read off it."""
    taken = {"pk": {"S": "x"}, "sk": {"S": "x"}}

    def both(call: Call) -> Answer:
        return cancelled(call, ["None", "ConditionalCheckFailed", "TransactionConflict"], [None, taken])

    calls.trouble(both, "TransactWriteItems")
    assert shop.cart("ann", seat("A", 1), seat("A", 2)).status == "held"


@pytest.mark.parametrize("act", ["hold", "confirm", "cancel", "extend", "withdraw"])
def test_rule_08_a_step_that_was_made_without_an_answer_is_made_once(shop: Shop, calls: Calls, act: str) -> None:
    """Rule 8: DynamoDB made it, the answer was lost: the second attempt meets its own work and knows it."""
    held = shop.cart("ann", seat("A", 1), key="key")
    if act == "withdraw":
        confirm(shop.engine, held.key)
    acts: dict[str, Callable[[], Any]] = {
        "hold": lambda: shop.cart("ann", seat("A", 2), key="other"),
        "confirm": lambda: confirm(shop.engine, held.key),
        "cancel": lambda: cancel(shop.engine, held.key),
        "extend": lambda: extend(shop.engine, held.key, None, "request"),
        "withdraw": lambda: withdraw(shop.engine, held.key),
    }
    calls.trouble(made_but_throttled, "TransactWriteItems")
    answer = acts[act]()
    became = {"confirm": "confirmed", "cancel": "cancelled", "withdraw": "cancelled"}
    assert answer.status == became.get(act, "held")
    writes = {"hold": 1, "confirm": 2, "cancel": 2, "extend": 2, "withdraw": 3}
    assert shop.unit(shop.seat_key("A", 1)).version == 1 + writes[act]
    shop.audit()


def test_rule_09_every_seat_in_the_way_is_named(shop: Shop) -> None:
    """Rule 9: of five seats one is held, one is sold, one does not exist: each is named, with why."""
    shop.cart("bob", seat("A", 2))
    confirm(shop.engine, shop.cart("bob", seat("A", 4)).key)
    wanted = [seat("A", number) for number in (1, 2, 3, 4, 99)]
    assert refusal(lambda: shop.cart("ann", *wanted)) == [
        ("items.1", "seat_taken"),
        ("items.3", "seat_taken"),
        ("items.4", "seat_not_found"),
    ]
    assert [holder(shop, number) for number in (1, 3)] == [None, None]


def test_rule_09_own_and_unknown_listings_are_named_beside_seats(shop: Shop) -> None:
    """Rule 9: lines known to be impossible before anything is tried do not hide the others."""
    own, locked = shop.listing("ann"), shop.listing("eve")
    shop.cart("bob", resale(locked), seat("A", 1))
    wanted = [resale(own), seat("A", 1), resale("none"), resale(locked), seat("A", 2)]
    assert refusal(lambda: shop.cart("ann", *wanted)) == [
        ("items.0", "own_listing"),
        ("items.1", "seat_taken"),
        ("items.2", "ticket_not_found"),
        ("items.3", "already_reserved"),
    ]


def test_rule_10_a_seat_is_its_holders_until_the_very_millisecond(shop: Shop) -> None:
    """Rule 10: a millisecond before its time nobody else gets it; at its time the next taker does, unswept."""
    held = shop.cart("ann", seat("A", 1))
    shop.clock.forward(LENGTH - 1)
    assert refusal(lambda: shop.cart("bob", seat("A", 1))) == TAKEN
    shop.clock.forward(1)
    assert shop.stored(held.key).status == "held"
    assert holder(shop, 1) == held.id
    assert shop.cart("bob", seat("A", 1)).id == holder(shop, 1)
    shop.audit()


def test_rule_10_an_extension_right_before_a_cancel_is_cancelled_with_it(shop: Shop, calls: Calls) -> None:
    """Rule 10: `v` moved between the read and the write: the cancel reads again, and the seat is free at once."""
    held = shop.cart("ann", seat("A", 1))
    other = shop.another()
    calls.trouble(meanwhile(lambda: extend(other.engine, held.key, None, "x")), "TransactWriteItems")
    assert cancel(shop.engine, held.key).status == "cancelled"
    assert holder(shop, 1) is None
    assert shop.cart("bob", seat("A", 1)).status == "held"


def test_rule_11_a_lapsed_seat_taken_by_another_never_blocks_the_release_of_the_rest(shop: Shop) -> None:
    """Rule 11: a cart of seats and products lapses, one seat is another's since: the pool is given back."""
    product = shop.product()
    held = shop.cart("ann", seat("A", 1), units(product, 3), seat("A", 2))
    shop.clock.forward(LENGTH)
    taken = shop.cart("bob", seat("A", 1))
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert shop.stored(held.key).status == "expired"
    assert shop.count(product) == (10, 0, 0)
    assert holder(shop, 1) == taken.id
    assert shop.cart("eve", seat("A", 2)).id == holder(shop, 2)
    shop.audit()


@pytest.mark.parametrize("by", ["message", "sweep", "cancel"])
def test_rule_11_expiry_writes_pools_and_the_reservation_only(shop: Shop, calls: Calls, by: str) -> None:
    """Rule 11: however the end of a hold is noticed, neither its seats nor its listing are written."""
    product = shop.product()
    held = shop.cart("ann", seat("A", 1), units(product), resale(shop.listing()))
    shop.clock.forward(LENGTH)
    calls.clear()
    ends: dict[str, Callable[[], object]] = {
        "message": lambda: handle(shop.engine, ListQueue(), [shop.message(held)]),
        "sweep": lambda: sweep(shop.engine, [held.key]),
        "cancel": lambda: cancel(shop.engine, held.key),
    }
    ends[by]()
    shards = [shard.key for shard in shop.shards(product)]
    assert [sorted(call.written) for call in calls.transactions] == [sorted([held.key, *shards])]
    assert holder(shop, 1) == held.id
    shop.audit()


def test_rule_11_a_hold_of_seats_alone_expires_in_a_read_and_one_write(shop: Shop) -> None:
    """Rule 11: there is nothing to give back but the reservation itself."""
    held = shop.cart("ann", seat("A", 1))
    shop.clock.forward(LENGTH)
    with counted(shop.store._connection) as cost:
        handle(shop.engine, ListQueue(), [shop.message(held)])
    assert (cost.total, cost.write_units) == (2, 3)


def test_rule_11_cancel_leaves_out_what_has_another_holder(shop: Shop) -> None:
    """Rule 11: another function's clock is ahead, and gave a seat away that is still held here: the rest is freed."""
    product = shop.product()
    held = shop.cart("ann", seat("A", 1), seat("A", 2), units(product))
    taken = fast(shop, LENGTH).cart("bob", seat("A", 2))
    assert cancel(shop.engine, held.key).status == "cancelled"
    assert [holder(shop, 1), holder(shop, 2)] == [None, taken.id]
    assert shop.count(product) == (10, 0, 0)
    shop.audit()


def test_rule_11_cancel_meets_a_taker_between_its_read_and_its_write(shop: Shop, calls: Calls) -> None:
    """Rule 11: the seat goes to another right before the cancel's write, on a clock that is ahead."""
    held = shop.cart("ann", seat("A", 1), seat("A", 2))
    other = fast(shop, LENGTH)
    calls.trouble(meanwhile(lambda: other.cart("bob", seat("A", 1))), "TransactWriteItems")
    assert cancel(shop.engine, held.key).status == "cancelled"
    assert [holder(shop, 1) is None, holder(shop, 2)] == [False, None]
    shop.audit()


def test_rule_12_a_late_confirm_sells_what_nobody_took(shop: Shop) -> None:
    """Rule 12: past its time but not yet expired, with nobody there since, everything is sold."""
    product = shop.product()
    held = shop.cart("ann", seat("A", 1), units(product), resale(shop.listing()))
    shop.clock.forward(LENGTH * 2)
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert shop.unit(shop.seat_key("A", 1)).held_until is None
    assert shop.count(product) == (9, 0, 1)
    shop.clock.forward(LENGTH * 1_000)
    assert refusal(lambda: shop.cart("bob", seat("A", 1))) == TAKEN
    shop.audit()


@pytest.mark.parametrize("since", ["held", "sold", "held again by the same user", "held and lapsed", "repriced"])
def test_rule_12_a_late_confirm_fails_whole_if_any_seat_was_taken(shop: Shop, since: str) -> None:
    """Rule 12: whoever has one of the seats now, nothing of the reservation is sold; its pool comes free by expiry."""
    product = shop.product()
    held = shop.cart("ann", seat("A", 1), units(product, 2), seat("A", 2))
    shop.clock.forward(LENGTH)
    if since == "repriced":
        reprice_seat(shop, 2)
    else:
        taken = shop.cart("ann" if since == "held again by the same user" else "bob", seat("A", 2))
        if since == "sold":
            confirm(shop.engine, taken.key)
    if since == "held and lapsed":
        shop.clock.forward(LENGTH)
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    assert shop.stored(held.key).status == "held"
    assert holder(shop, 1) == held.id
    assert shop.unit(shop.seat_key("A", 1)).held_until == held.expires_at
    assert shop.count(product) == (8, 2, 0)
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert shop.count(product) == (10, 0, 0)
    shop.audit()


def test_rule_12_a_seat_taken_right_before_a_late_confirm(shop: Shop, calls: Calls) -> None:
    """Rule 12: it was still its own when the reservation was read; the condition sees another."""
    held = shop.cart("ann", seat("A", 1), seat("A", 2))
    shop.clock.forward(LENGTH)
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", seat("A", 2))), "TransactWriteItems")
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    assert holder(shop, 1) == held.id
    shop.audit()


def test_rule_12_of_a_late_confirm_and_a_taker_the_first_wins(shop: Shop, calls: Calls) -> None:
    """Rule 12: the confirm comes right before the taker's write: the taker is refused, the seat is sold once."""
    held = shop.cart("ann", seat("A", 1))
    shop.clock.forward(LENGTH)
    other = shop.another()
    calls.trouble(meanwhile(lambda: confirm(other.engine, held.key)), "TransactWriteItems")
    assert refusal(lambda: shop.cart("bob", seat("A", 1))) == TAKEN
    assert holder(shop, 1) == held.id
    shop.audit()


def test_rule_12_a_price_edit_removes_a_lapsed_holder(shop: Shop) -> None:
    """Rule 12: while it is locked the listing cannot be edited; once the lock lapsed it can, and the order is void."""
    ticket = shop.listing("eve")
    held = shop.cart("ann", resale(ticket), seat("A", 1))

    def edit() -> listings.Listing:
        return listings.edit(shop.engine, "demo", ticket, "eve", lambda money: listings.Offer("Dearer", 9_900, money))

    with pytest.raises(TicketLocked):
        edit()
    shop.clock.forward(LENGTH)
    assert edit().item.holder is None
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    assert shop.cart("bob", resale(ticket)).lines[0].unit_price_minor == 9_900
    shop.audit()


def test_rule_12_confirm_never_looks_at_the_clock(shop: Shop, calls: Calls) -> None:
    """Rule 12: no condition of a confirm's writes knows the time: not the reservation's, a seat's or a shard's."""
    held = shop.cart("ann", seat("A", 1), units(shop.product()))
    calls.clear()
    confirm(shop.engine, held.key)
    conditions = [arguments["ConditionExpression"] for _, arguments in calls.transactions[-1].writes]
    assert len(conditions) == 3
    assert not any("<" in condition for condition in conditions[:2])
    assert str(shop.clock.now()) not in str(calls.transactions[-1].writes)


def test_rule_13_an_extension_reaches_every_seat(shop: Shop) -> None:
    """Rule 13: seats and a listing are held as long as the reservation says; at the old time nobody gets them."""
    ticket = shop.listing()
    held = shop.cart("ann", seat("A", 1), resale(ticket), seat("A", 2), units(shop.product()))
    longer = extend(shop.engine, held.key, None, "request")
    keys = [shop.seat_key("A", 1), shop.seat_key("A", 2), shop.keys.listing(ticket)]
    assert {shop.unit(key).held_until for key in keys} == {longer.expires_at} == {held.expires_at + 300_000}
    shop.clock.forward(LENGTH)
    assert refusal(lambda: shop.cart("bob", seat("A", 2))) == TAKEN
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert shop.stored(held.key).status == "held"
    shop.audit()


def test_rule_13_an_extension_is_refused_where_a_seat_was_taken(shop: Shop) -> None:
    """Rule 13: a clock that is ahead gave one seat away: the others are not held any longer than they were."""
    held = shop.cart("ann", seat("A", 1), seat("A", 2))
    fast(shop, LENGTH).cart("bob", seat("A", 2))
    with pytest.raises(ReservationOver):
        extend(shop.engine, held.key, None, "request")
    assert shop.stored(held.key).expires_at == held.expires_at
    assert shop.unit(shop.seat_key("A", 1)).held_until == held.expires_at


def test_rule_13_an_extension_that_meets_conflicts_is_made_once(shop: Shop, calls: Calls) -> None:
    """Rule 13: seats and reservation have the same new time after conflicts; another request may not extend again."""
    held = shop.cart("ann", seat("A", 1))
    calls.trouble(conflict, "TransactWriteItems", times=3)
    longer = extend(shop.engine, held.key, None, "request")
    assert shop.unit(shop.seat_key("A", 1)).held_until == longer.expires_at == held.expires_at + 300_000
    assert extend(shop.engine, held.key, None, "request").expires_at == longer.expires_at
    with pytest.raises(AlreadyExtended):
        extend(shop.engine, held.key, None, "another")
    shop.audit()


def test_rule_14_a_confirmed_reservation_that_is_withdrawn_is_on_sale_again(shop: Shop) -> None:
    """Rule 14: `confirmed -> cancelled` gives seats, listing, pool and limits back, once."""
    product = shop.product(max_per_user=2)
    ticket = shop.listing()
    lines = [seat("A", 1), units(product, 2), resale(ticket)]
    held = shop.cart("ann", *lines)
    with pytest.raises(ReservationOver):
        withdraw(shop.engine, held.key)
    confirm(shop.engine, held.key)
    with pytest.raises(ReservationOver):
        cancel(shop.engine, held.key)
    for _ in range(2):
        assert withdraw(shop.engine, held.key).status == "cancelled"
    assert shop.count(product) == (10, 0, 0)
    assert shop.cart("ann", *lines).status == "held"
    shop.audit()


def test_rule_14_a_withdrawal_is_not_repeated_on_the_next_buyers_seat(shop: Shop) -> None:
    """Rule 14: withdrawn, bought by another, withdrawn again by a late hand: the other's seat stays sold."""
    held = shop.cart("ann", seat("A", 1))
    confirm(shop.engine, held.key)
    withdraw(shop.engine, held.key)
    bought = confirm(shop.engine, shop.cart("bob", seat("A", 1)).key)
    assert withdraw(shop.engine, held.key).status == "cancelled"
    assert (holder(shop, 1), shop.unit(shop.seat_key("A", 1)).held_until) == (bought.id, None)


@pytest.mark.parametrize("ended", ["cancelled", "expired"])
def test_rule_14_what_is_over_is_not_confirmed(shop: Shop, ended: str) -> None:
    """Rule 14: `cancelled` is final; what expired is only bought by late money, which draws anew."""
    held = shop.cart("ann", seat("A", 1))
    if ended == "cancelled":
        cancel(shop.engine, held.key)
    else:
        shop.clock.forward(LENGTH)
        handle(shop.engine, ListQueue(), [shop.message(held)])
    with pytest.raises(ReservationOver):
        confirm(shop.engine, held.key)
    assert shop.stored(held.key).status == ended
    shop.audit()


def test_rule_16_ttl_is_set_where_nothing_is_claimed_any_more(shop: Shop) -> None:
    """Rule 16: a reservation that has seats, held or sold, is never deleted by TTL."""
    held, sold, ended = (shop.cart("ann", seat("A", number)) for number in (1, 2, 3))
    confirm(shop.engine, sold.key)
    cancel(shop.engine, ended.key)
    kept = [shop.stored(record.key).ttl for record in (held, sold, ended)]
    assert kept[:2] == [None, None]
    assert kept[2] is not None
    withdraw(shop.engine, sold.key)
    assert shop.stored(sold.key).ttl is not None


def test_rule_16_a_batch_with_a_seat_taken_since_expires_whole(shop: Shop, calls: Calls) -> None:
    """Rule 16: twenty holds lapse and some of their seats are others' by now: one transaction expires them all."""
    shop.seats({"B": 20})
    records = [shop.cart(f"user{number}", seat("B", number)) for number in range(1, 21)]
    shop.clock.forward(LENGTH)
    for number in (3, 7):
        shop.cart("bob", seat("B", number))
    calls.clear()
    assert handle(shop.engine, ListQueue(), [shop.message(record) for record in records]) == set()
    assert [len(call.written) for call in calls.transactions] == [20]
    assert {shop.stored(record.key).status for record in records} == {"expired"}
    shop.audit()


def test_a_named_seat_is_held_warm_in_one_request_of_five_units(shop: Shop) -> None:
    """The budget: one transaction, 5 write units; with a limit per user 7."""
    shop.cart("ann", seat("A", 1))
    with counted(shop.store._connection) as cost:
        shop.cart("ann", seat("A", 2))
    assert (cost.total, cost.write_units) == (1, 5)


def test_a_seat_is_held_by_the_reservation_that_says_so(shop: Shop) -> None:
    """The reservation names its unit, its unit names the reservation, and a limit per user counts seats."""
    shop.seats({"L": 4}, max_per_user=2)
    held = shop.cart("ann", seat("L", 1))
    assert held.units == [f"SEATS#1#1#00/{shop.seat_key('L', 1).sk}"]
    assert holder(shop, 1) is None
    assert shop.unit(shop.seat_key("L", 1)).holder == held.id
    assert isinstance(shop.stored(held.key), ReservationItem)


@pytest.mark.parametrize("had", [0, 1])
def test_a_limit_per_user_counts_all_seats_of_one_cart(shop: Shop, had: int) -> None:
    """A limit of two seats: three in one cart are too many, for somebody who never had one as well."""
    shop.seats({"L": 5}, max_per_user=2)
    for number in range(had):
        shop.cart("ann", seat("L", 5 - number))
    wanted = [seat("L", number) for number in range(1, 4 - had)]
    assert {code for _, code in refusal(lambda: shop.cart("ann", *wanted))} == {"limit_exceeded"}
    assert shop.cart("ann", *wanted[1:]).status == "held"
    shop.audit()


@pytest.mark.parametrize("row", ["H", "R"])
def test_a_seat_in_row_h_or_r_is_no_reservation(shop: Shop, row: str) -> None:
    """Its sort key begins as a hold's or a reservation's does; its partition tells."""
    assert not is_hold(shop.seat_key(row, 1))
    assert is_hold(shop.cart("ann", seat("A", 1)).key)
