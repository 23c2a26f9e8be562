"""PROTOCOL.md's rules for carts of mixed kinds: all lines or none, whatever goes wrong at whichever call."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.checkout.purchases import SOURCE, TicketPurchase, check_out
from holdfast.platform.errors import Busy, HoldfastError, HoldTaken, SeatsNotHeld
from holdfast.platform.items import ReservationItem
from holdfast.platform.tables import Key
from holdfast.reservations.ending import cancel, confirm, withdraw
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.extension import extend
from tests.engine.expiring import handle
from tests.engine.fair import EVENING, LENGTH, TROUBLES, Fair
from tests.engine.faults import Calls, Crash, conflict, meanwhile
from tests.engine.shop import (
    EVENT,
    HOUR,
    SEATED,
    SERVICE,
    ListQueue,
    ManualClock,
    Shop,
    best,
    hall,
    refusal,
    resale,
    seat,
    units,
)


def test_rule_02_ten_mixed_lines_are_one_write_an_item(fair: Fair, calls: Calls) -> None:
    """Rule 2: lines of all kinds are netted into one transaction that names no item twice."""
    held = fair.shop.cart("ann", *fair.lines)
    written = calls.transactions[-1].written
    assert len(set(written)) == len(written) == 1 + 3 + 2 + (1 + 1 + 2 + 1) + 4
    assert len(held.lines) == 10
    fair.shop.audit()


def test_ten_mixed_lines_take_two_requests(fair: Fair) -> None:
    """The budget is three: a function that knows nothing, and one that knows products and rows, read once and write."""
    plain = [line for line in fair.lines if line.product_id != fair.products[2]]
    plain.append(units(fair.products[2], 1))
    calls = Calls(fair.shop.store)
    for _ in ("cold", "warm"):
        calls.clear()
        held = fair.shop.cart("ann", *plain)
        assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
        cancel(fair.shop.engine, held.key)


def test_rule_09_a_mixed_refusal_names_every_line_in_the_way(fair: Fair) -> None:
    """Rule 9: a seat, a listing, a hall and two products stand in the way: five lines are named, in their order."""
    shop = fair.shop
    plain, limited, _ = fair.products
    shop.cart("ann", units(limited, 1))
    taken = [seat("B", 7), resale(fair.tickets[1]), hall(EVENING + 4 * HOUR, EVENING + 6 * HOUR), units(plain, 9)]
    shop.cart("bob", *taken)
    assert refusal(lambda: shop.cart("ann", *fair.lines)) == [
        ("items.1", "insufficient_stock"),
        ("items.2", "time_conflict"),
        ("items.4", "seat_taken"),
        ("items.5", "limit_exceeded"),
        ("items.8", "already_reserved"),
    ]
    assert shop.unit(shop.seat_key("A", 1)).holder is None
    shop.audit()


@pytest.mark.parametrize("line", range(10))
def test_a_cart_fails_whole_whichever_line_is_lost_right_before_its_write(fair: Fair, calls: Calls, line: int) -> None:
    """Between the read and the write another takes what one of ten lines wants: that line is named, none is taken."""
    other = fair.shop.another()
    wanted = fair.lines[line]
    if wanted.product_id is not None:
        wanted = units(wanted.product_id, {0: 9, 1: 2, 2: 3}[fair.products.index(wanted.product_id)])
    calls.trouble(meanwhile(lambda: other.cart("bob", wanted)), "TransactWriteItems")
    named = [field for field, _ in refusal(lambda: fair.shop.cart("ann", *fair.lines))]
    assert named == [f"items.{line}"]
    assert not fair.shop.store.query(fair.shop.keys.user("ann"), "R#").items
    fair.shop.audit()


STEPS: dict[str, Callable[[Shop, Key], Any]] = {
    "confirm": lambda shop, key: confirm(shop.engine, key),
    "cancel": lambda shop, key: cancel(shop.engine, key),
    "extend": lambda shop, key: extend(shop.engine, key, None, "request"),
    "withdraw": lambda shop, key: withdraw(shop.engine, key),
    "late confirm": lambda shop, key: confirm(shop.engine, key),
    "expire": lambda shop, key: handle(shop.engine, ListQueue(), [shop.message(shop.stored(key))]),
}
BECOMES = {
    "confirm": "confirmed",
    "cancel": "cancelled",
    "extend": "held",
    "withdraw": "cancelled",
    "late confirm": "confirmed",
    "expire": "expired",
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("call", range(6))
def test_ten_lines_are_held_whole_or_not_at_all(fair: Fair, calls: Calls, call: int, trouble: str) -> None:
    """Any call of the reserve conflicts, is throttled or kills the function; the same key again takes effect once."""
    shop = fair.shop
    calls.trouble(TROUBLES[trouble], skip=call)
    try:
        shop.cart("ann", *fair.lines, key="key")
    except (Crash, HoldfastError):
        record = shop.store.get(ReservationItem, shop.keys.reservation("ann", "reservations", "key"))
        assert (record is None) == fair.is_untouched()
        shop.audit()
    calls.clear()
    held = shop.cart("ann", *fair.lines, key="key")
    assert shop.cart("ann", *fair.lines, key="key").id == held.id
    assert [shop.count(product)[1] for product in fair.products] == [2, 2, 4]
    shop.audit()
    cancel(shop.engine, held.key)
    assert fair.is_untouched()
    shop.audit()


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_ten_lines_leave_their_state_whole_or_not_at_all(
    fair: Fair, calls: Calls, step: str, call: int, trouble: str
) -> None:
    """Any call of a later step goes wrong; the step once more completes it, and does nothing twice."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    if step == "withdraw":
        confirm(shop.engine, held.key)
    if step in ("late confirm", "expire"):
        shop.clock.forward(LENGTH)
    before = shop.stored(held.key)
    calls.trouble(TROUBLES[trouble], skip=call)
    try:
        STEPS[step](shop, held.key)
    except (Crash, HoldfastError):
        after = shop.stored(held.key)
        assert (after.status, after.v) in [(before.status, before.v), (BECOMES[step], before.v + 1)]
        shop.audit()
    calls.clear()
    STEPS[step](shop, held.key)
    record = shop.stored(held.key)
    assert (record.status, record.v) == (BECOMES[step], before.v + 1)
    assert fair.is_untouched() == (step in ("cancel", "withdraw", "expire"))
    shop.audit()


@pytest.mark.parametrize("lost", ["seat", "listing", "day"])
def test_rule_12_a_late_confirm_of_a_mixed_cart_fails_whole(fair: Fair, lost: str) -> None:
    """Rule 12: one seat, one listing or an hour of one hall is another's since: nothing of ten lines is sold."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH)
    late = hall(EVENING + 4 * HOUR, EVENING + 6 * HOUR)
    shop.cart("bob", {"seat": seat("B", 8), "listing": resale(fair.tickets[0]), "day": late}[lost])
    with pytest.raises(HoldTaken):
        confirm(shop.engine, held.key)
    assert shop.stored(held.key).status == "held"
    assert [shop.count(product)[1:] for product in fair.products] == [(2, 0), (2, 0), (4, 0)]
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert [shop.count(product)[1:] for product in fair.products] == [(0, 0)] * 3
    shop.audit()


def test_rule_13_an_extension_of_a_mixed_cart_reaches_every_unit_and_day(fair: Fair, calls: Calls) -> None:
    """Rule 13: seats, listings and both days of both halls have the reservation's new time, in one transaction."""
    held = fair.shop.cart("ann", *fair.lines)
    calls.clear()
    longer = extend(fair.shop.engine, held.key, None, "request")
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert len(calls.transactions[0].written) == 1 + 3 + 2 + 4
    assert longer.expires_at == held.expires_at + 300_000
    fair.shop.audit()
    fair.shop.clock.forward(LENGTH + 300_000 - 1)
    wanted = [line for line in fair.lines if line.kind != "product"]
    assert [field for field, _ in refusal(lambda: fair.shop.cart("bob", *wanted))] == [
        f"items.{place}" for place in range(7)
    ]


def buy(shop: Shop, line: LineRequest) -> None:
    """Buy a part of what ann holds of tickets, as paid elsewhere."""
    check_out(shop.engine, shop.machines.checkout, TicketPurchase("demo", "ann", SERVICE, [line]))


def test_rule_15_a_part_checked_out_takes_its_seats_along(shop: Shop) -> None:
    """Rule 15: one of three seats is bought: it is the child's, sold; the others stay the parent's, held as before."""
    shop.seats({"A": 3})
    held = shop.cart("ann", seat("A", 1), seat("A", 2), seat("A", 3), route=SOURCE)
    buy(shop, seat("A", 2))
    shop.audit()
    left = shop.stored(held.key)
    assert [(line.row, line.seat) for line in left.lines] == [("A", "1"), ("A", "3")]
    assert [shop.unit(shop.seat_key("A", number)).held_until for number in (1, 2, 3)] == [
        held.expires_at,
        None,
        held.expires_at,
    ]
    shop.clock.forward(LENGTH)
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    shop.audit()
    assert shop.cart("bob", seat("A", 1), seat("A", 3)).status == "held"
    assert refusal(lambda: shop.cart("bob", seat("A", 2))) == [("items.0", "seat_taken")]


def test_rule_15_a_part_that_another_took_is_not_bought(shop: Shop) -> None:
    """Rule 15: a clock that is ahead gave the seat away: the split fails whole, and what is left can be bought."""
    shop.seats({"A": 2})
    shop.cart("ann", seat("A", 1), seat("A", 2), route=SOURCE)
    Shop(shop.store, ManualClock(shop.clock.now() + LENGTH), shop.tenant).cart("bob", seat("A", 2))
    with pytest.raises(SeatsNotHeld):
        buy(shop, seat("A", 2))
    buy(shop, seat("A", 1))
    assert shop.unit(shop.seat_key("A", 1)).held_until is None


def test_best_available_beside_named_seats_avoids_them(shop: Shop) -> None:
    """Rule 2: the best seats are chosen around those that another line of the cart names."""
    shop.seats({"A": 4})
    held = shop.cart("ann", best(2), seat("A", 1))
    assert sorted(line.seat for line in held.lines) == ["1", "2", "3"]
    assert {line.kind for line in held.lines} == {"seat"}
    shop.audit()


def test_best_available_that_is_lost_is_chosen_anew(shop: Shop, calls: Calls) -> None:
    """DESIGN.md: the chosen seats go to another right before the write: two others are found, or the proof of none."""
    shop.seats({"A": 4})
    other = shop.another()
    calls.trouble(meanwhile(lambda: other.cart("bob", seat("A", 1))), "TransactWriteItems")
    held = shop.cart("ann", best(2))
    assert "1" not in {line.seat for line in held.lines}
    calls.trouble(meanwhile(lambda: other.cart("eva", best(1))), "TransactWriteItems")
    assert refusal(lambda: shop.cart("cat", best(1))) == [("items.0", "insufficient_stock")]
    assert (held.lines[0].event_id, held.lines[0].ticket_type_id) == (EVENT, SEATED)
    shop.audit()


def test_contention_without_end_is_busy_and_takes_nothing(fair: Fair, calls: Calls) -> None:
    """Rule 5: attempts used up answer 503, whichever kinds are in the cart; nothing is held."""
    calls.trouble(conflict, "TransactWriteItems", times=50)
    with pytest.raises(Busy):
        fair.shop.cart("ann", *fair.lines)
    calls.clear()
    assert fair.is_untouched()
    fair.shop.audit()
