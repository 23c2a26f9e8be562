"""PROTOCOL.md's rules for what a checkout does to a reservation: into it and out of it again."""

from collections.abc import Callable, Sequence
from itertools import chain

import pytest

from holdfast.catalogue.listings import listings
from holdfast.platform.dynamodb import Write
from holdfast.platform.errors import (
    AlreadyExtended,
    Busy,
    HoldfastError,
    HoldTaken,
    ReservationNotFound,
    ReservationOver,
    TicketLocked,
)
from holdfast.platform.items import ReservationItem
from holdfast.platform.queues import ExpiryMessage
from holdfast.platform.tables import Key
from holdfast.reservations.checking_out import GRACE, abandon, begin, go_back
from holdfast.reservations.ending import cancel, confirm, lapse, withdraw
from holdfast.reservations.extension import extend
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from tests.engine.expiring import handle, sweep
from tests.engine.fair import (
    EVERY_TROUBLE,
    LENGTH,
    SINGLES,
    TO_PAY,
    Fair,
    Marker,
    counts,
    in_checkout,
    later,
    single,
    times,
)
from tests.engine.faults import Calls, Crash, meanwhile
from tests.engine.shop import HOUR, ListQueue, Shop, refusal


def test_rule_13_into_checkout_every_unit_and_day_is_kept_beyond_the_deadline(fair: Fair, calls: Calls) -> None:
    """Rule 13: one transaction of the reservation, five units and four days: 30 s past the deadline; no pool."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    calls.clear()
    begun = begin(shop.engine, held.key, 1, TO_PAY)
    assert calls.operations == ["GetItem", "TransactWriteItems"]
    assert len(calls.transactions[0].written) == 1 + 5 + 4
    deadline = shop.clock.now() + TO_PAY * 1_000
    assert times(fair, begun) == {deadline + 30_000}
    assert shop.stored(held.key).serialize() == begun.serialize()
    assert (begun.status, begun.expires_at, begun.due, begun.hold_expires_at) == (
        "checking_out",
        deadline,
        deadline,
        held.expires_at,
    )
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_13_goods_are_takeable_30_seconds_past_the_deadline(fair: Fair, kind: str) -> None:
    """Rule 13: a millisecond before it another is refused; at it they are anybody's."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000 + GRACE - 1)
    code = {"seat": "seat_taken", "listing": "already_reserved", "day": "time_conflict"}[kind]
    assert refusal(lambda: shop.cart("bob", single(fair, kind))) == [("items.0", code)]
    shop.audit()
    shop.clock.forward(1)
    assert shop.cart("bob", single(fair, kind)).status == "held"
    assert [held for _, held, _ in counts(fair)] == [2, 2, 4]
    assert shop.stored(begun.key).status == "checking_out"
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_13_what_another_took_by_a_clock_ahead_cannot_be_checked_out(fair: Fair, kind: str) -> None:
    """Rule 13: a lapsed unit or hour was lost since: the reservation is over, nothing is written; expiry gives back."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH - 1)
    later(shop, 1).cart("bob", single(fair, kind))
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    assert shop.stored(held.key).serialize() == held.serialize()
    shop.clock.forward(1)
    assert handle(shop.engine, ListQueue(), [shop.message(held)]) == set()
    assert [held for _, held, _ in counts(fair)] == [0, 0, 0]
    shop.audit()


def test_rule_13_begun_twice_is_begun_once(fair: Fair, calls: Calls) -> None:
    """Rule 13: the same attempt again changes nothing, however late; another attempt finds it in checkout."""
    begun = in_checkout(fair)
    fair.shop.clock.forward(TO_PAY * 1_000)
    calls.clear()
    assert begin(fair.shop.engine, begun.key, 1, TO_PAY).serialize() == begun.serialize()
    with pytest.raises(ReservationOver):
        begin(fair.shop.engine, begun.key, 2, TO_PAY)
    assert calls.transactions == []


def test_rule_13_checkout_takes_no_time_from_a_hold(shop: Shop) -> None:
    """Rule 13: where the hold lasts longer than there is to pay in, its own time is the deadline."""
    held = shop.hold("ann", {shop.product(): 1})
    assert begin(shop.engine, held.key, 1, 60).expires_at == held.expires_at
    shop.audit()


@pytest.mark.parametrize("late", [0, 1, LENGTH])
def test_rule_13_a_hold_past_its_time_is_not_checked_out(fair: Fair, late: int) -> None:
    """Rule 10: at its time and after, released or not, a hold is over; a deal hold is not checked out as it is."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH + late)
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    lapse(shop.engine, held.key, held.expires_at)
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    shop.reserve("ann", {fair.products[0]: 1})
    for key in (shop.keys.deal_hold("ann", fair.products[0]), shop.keys.reservation("ann", "reservations", "none")):
        with pytest.raises(ReservationNotFound):
            begin(shop.engine, key, 1, TO_PAY)
    shop.audit()


def test_rule_13_the_hold_lapses_right_before_checkout_begins(fair: Fair, calls: Calls) -> None:
    """Rule 10: the clock is in the condition: live when it was read, given back before the write."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)

    def lapses() -> None:
        shop.clock.forward(LENGTH)
        lapse(shop.engine, held.key, held.expires_at)

    calls.trouble(meanwhile(lapses), "TransactWriteItems")
    with pytest.raises(ReservationOver):
        begin(shop.engine, held.key, 1, TO_PAY)
    assert shop.stored(held.key).status == "expired"
    shop.audit()


def test_rule_13_nothing_else_happens_to_what_is_being_paid_for(fair: Fair) -> None:
    """Rule 14: in checkout it is neither cancelled, extended, nor given back for a while, and no price is changed."""
    shop = fair.shop
    begun = in_checkout(fair)
    for act in (
        lambda: cancel(shop.engine, begun.key),
        lambda: extend(shop.engine, begun.key, None, "request"),
        lambda: withdraw(shop.engine, begun.key),
        lambda: give_back(shop.engine, begun.key, begun.lines, lambda: False, State.REFUNDED),
        lambda: reacquire(shop.engine, begun.key, 1),
    ):
        with pytest.raises(ReservationOver):
            act()
    with pytest.raises(TicketLocked):
        listings.edit(
            shop.engine, shop.tenant, fair.tickets[0], None, lambda currency: listings.Offer("X", 1, currency)
        )
    assert lapse(shop.engine, begun.key, begun.expires_at).status == "checking_out"
    shop.audit()


def test_rule_14_a_declined_payment_leaves_the_hold_and_its_clock(fair: Fair) -> None:
    """Rule 14: back to held, until when it was held before, on every unit and day; then its own time gives it back."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(LENGTH - 1)
    back = go_back(shop.engine, begun.key, 1)
    stored = shop.stored(begun.key)
    assert (back.status, stored.status, stored.v) == ("held", "held", begun.v + 1)
    assert (stored.expires_at, stored.due, stored.hold_expires_at) == (
        begun.hold_expires_at,
        begun.hold_expires_at,
        None,
    )
    assert times(fair, stored) == {stored.expires_at}
    shop.audit()
    shop.clock.forward(1)
    assert handle(shop.engine, ListQueue(), [shop.message(stored)]) == set()
    assert fair.is_untouched()
    shop.audit()


def test_rule_14_a_payment_declined_after_the_holds_time_gives_everything_back_at_once(fair: Fair) -> None:
    """Rule 14: its own clock has run out during the payment: expired, units and days free for the next taker."""
    begun = in_checkout(fair)
    fair.shop.clock.forward(LENGTH)
    assert go_back(fair.shop.engine, begun.key, 1).status == "expired"
    assert fair.is_untouched()
    assert fair.shop.cart("bob", *fair.lines).status == "held"
    fair.shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_14_a_hold_that_lost_a_thing_is_not_gone_back_to(fair: Fair, kind: str) -> None:
    """Rule 14: by a clock ahead another took one of ten things: the rest is given back, what is another's is not."""
    shop = fair.shop
    begun = in_checkout(fair)
    other = later(shop, TO_PAY * 1_000 + GRACE).cart("bob", single(fair, kind))
    assert go_back(shop.engine, begun.key, 1).status == "expired"
    assert counts(fair) == [(10, 0, 0), (3, 0, 0), (6, 0, 0)]
    assert confirm(shop.engine, other.key).status == "confirmed"
    shop.audit()


def test_rule_14_only_the_attempt_that_is_in_checkout_leaves_it(fair: Fair, calls: Calls) -> None:
    """Rule 14: an attempt that is over changes nothing for the next one, nor one that is not there for a hold."""
    shop = fair.shop
    begun = in_checkout(fair)
    go_back(shop.engine, begun.key, 1)
    again = begin(shop.engine, begun.key, 2, TO_PAY)
    calls.clear()
    for leave in (go_back, abandon):
        assert leave(shop.engine, begun.key, 1).serialize() == again.serialize()
    go_back(shop.engine, begun.key, 2)
    made = len(calls.transactions)
    for leave in (go_back, abandon):
        assert leave(shop.engine, begun.key, 2).status == "held"
    assert len(calls.transactions) == made
    shop.audit()


def test_rule_14_further_attempts_have_no_later_deadline(fair: Fair) -> None:
    """Rule 14: whatever number of cards is tried, the deadline is the first one; the hold's clock goes on as it was."""
    shop = fair.shop
    first = in_checkout(fair)
    for attempt in (2, 3):
        shop.clock.forward(LENGTH // 4)
        go_back(shop.engine, first.key, attempt - 1)
        begun = begin(shop.engine, first.key, attempt, TO_PAY)
        assert (begun.expires_at, begun.checkout_until) == (first.expires_at, first.expires_at)
        assert (begun.hold_expires_at, begun.checkout) == (first.hold_expires_at, attempt)
        assert times(fair, begun) == {first.expires_at + GRACE}
        shop.audit()


@pytest.mark.parametrize("late", [0, TO_PAY * 1_000 + GRACE])
def test_rule_14_abandoned_is_cancelled_for_good(fair: Fair, late: int) -> None:
    """Rule 14: a buyer cancels during checkout: all is free, and late money is not let in."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(late)
    assert abandon(shop.engine, begun.key, 1).status == "cancelled"
    assert fair.is_untouched()
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, begun.key, 1)
    with pytest.raises(ReservationOver):
        confirm(shop.engine, begun.key, checkout=1)
    assert fair.is_untouched()
    shop.audit()


def test_rule_16_at_the_deadline_the_workflow_is_told_and_decides(fair: Fair) -> None:
    """Rules 13, 16: the hold's message is dropped, an early one goes round, at the deadline nothing is given back."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    begun = begin(shop.engine, held.key, 1, TO_PAY)
    queue = ListQueue()
    told: list[ReservationItem] = []
    shop.clock.forward(LENGTH)
    messages = [shop.message(held), shop.message(begun)]
    assert handle(shop.engine, queue, messages, told.append) == set()
    assert (queue.sent, told) == ([ExpiryMessage(held.key, begun.expires_at)], [])
    assert sweep(shop.engine, [held.key], told.append) == 0
    shop.clock.forward((TO_PAY * 1_000 - LENGTH) - 500)
    assert handle(shop.engine, queue, [shop.message(begun)], told.append) == set()
    assert shop.clock.now() == begun.expires_at, "less than a second is waited for"
    assert sweep(shop.engine, [held.key], told.append) == 1
    assert [record.key for record in told] == [held.key, held.key]
    assert shop.stored(held.key).serialize() == begun.serialize()
    shop.audit()


def test_rule_16_what_cannot_be_told_is_delivered_again(fair: Fair) -> None:
    """Rule 16: the workflow cannot be asked just now, beside a hold that can be given back: only one comes again."""
    shop = fair.shop
    held = shop.hold("bob", {fair.products[0]: 1})
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000)

    def busy(_: ReservationItem) -> None:
        raise Busy

    messages = [shop.message(held), shop.message(begun)]
    assert handle(shop.engine, ListQueue(), messages, busy) == {begun.key}
    assert shop.stored(held.key).status == "expired"
    assert sweep(shop.engine, [held.key, begun.key], busy) == 0
    shop.audit()


@pytest.mark.parametrize("late", [0, TO_PAY * 1_000, TO_PAY * 1_000 + GRACE, 30 * 24 * HOUR])
def test_rule_12_confirm_in_checkout_never_looks_at_the_clock(fair: Fair, late: int) -> None:
    """Rule 12: nobody took any of it: sold, a month after the deadline as well."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(late)
    confirmed = confirm(shop.engine, begun.key, checkout=1)
    assert (confirmed.status, shop.stored(begun.key).checkout) == ("confirmed", 1)
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    assert times(fair, confirmed) == {None}
    shop.audit()


def test_rule_12_an_attempt_confirms_no_other_attempts_checkout(fair: Fair, calls: Calls) -> None:
    """Rule 12: money of a card that was declined before buys nothing of what another card is just paying for."""
    shop = fair.shop
    begun = in_checkout(fair, attempt=2)
    calls.clear()
    with pytest.raises(ReservationOver):
        confirm(shop.engine, begun.key, checkout=1)
    assert calls.transactions == []
    assert confirm(shop.engine, begun.key, checkout=2).status == "confirmed"
    with pytest.raises(ReservationOver):
        confirm(shop.engine, begun.key, checkout=1)
    shop.audit()


@pytest.mark.parametrize("kind", SINGLES)
def test_rule_12_what_was_lost_past_the_deadline_is_not_sold(fair: Fair, kind: str) -> None:
    """Rule 12: one of ten lines is another's since: the confirm fails whole; going back gives the others back."""
    shop = fair.shop
    begun = in_checkout(fair)
    shop.clock.forward(TO_PAY * 1_000 + GRACE)
    other = shop.cart("bob", single(fair, kind))
    with pytest.raises(HoldTaken):
        confirm(shop.engine, begun.key, checkout=1)
    assert shop.stored(begun.key).serialize() == begun.serialize()
    assert go_back(shop.engine, begun.key, 1).status == "expired"
    assert counts(fair) == [(10, 0, 0), (3, 0, 0), (6, 0, 0)]
    assert confirm(shop.engine, other.key).status == "confirmed"
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, begun.key, 1)
    shop.audit()


def test_rule_12_late_money_does_not_draw_what_still_counts_as_held(fair: Fair) -> None:
    """Rule 12: lapsed, and not given back yet: it is confirmed as it is; taking it again would be a double draw."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH)
    with pytest.raises(ReservationOver):
        reacquire(shop.engine, held.key, 1)
    assert confirm(shop.engine, held.key, checkout=1).status == "confirmed"
    assert reacquire(shop.engine, held.key, 1).status == "confirmed"
    assert counts(fair) == [(8, 0, 2), (1, 0, 2), (2, 0, 4)]
    shop.audit()


def test_rule_12_given_back_right_before_late_money_confirms_it(fair: Fair, calls: Calls) -> None:
    """Rule 12: expiry was faster than the confirm, which sells nothing; then everything is taken again."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    shop.clock.forward(LENGTH)
    calls.trouble(meanwhile(lambda: lapse(shop.engine, held.key, held.expires_at)), "TransactWriteItems")
    with pytest.raises(ReservationOver):
        confirm(shop.engine, held.key, checkout=1)
    assert fair.is_untouched()
    assert reacquire(shop.engine, held.key, 1).status == "confirmed"
    shop.audit()


def _leave(shop: Shop, key: Key) -> ReservationItem:
    return go_back(shop.engine, key, 1)


STEPS: dict[str, Callable[[Shop, Key], ReservationItem]] = {
    "begin": lambda shop, key: begin(shop.engine, key, 1, TO_PAY, Marker(shop).beside),
    "go back": _leave,
    "go back late": _leave,
    "abandon": lambda shop, key: abandon(shop.engine, key, 1),
    "confirm": lambda shop, key: confirm(shop.engine, key, Marker(shop).beside, checkout=1),
}
BECOMES = {
    "begin": "checking_out",
    "go back": "held",
    "go back late": "expired",
    "abandon": "cancelled",
    "confirm": "confirmed",
}


@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_ten_lines_go_through_checkout_whole_or_not_at_all(
    fair: Fair, calls: Calls, step: str, call: int, trouble: str
) -> None:
    """Any call of a step goes wrong; the step once more completes it, and does nothing twice."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    before = held if step == "begin" else begin(shop.engine, held.key, 1, TO_PAY)
    if step == "go back late":
        shop.clock.forward(LENGTH)
    calls.clear()
    calls.trouble(EVERY_TROUBLE[trouble], skip=call)
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
    assert fair.is_untouched() == (step in ("go back late", "abandon"))
    assert Marker(shop).is_there() == (step in ("begin", "confirm"))
    shop.audit()


def test_an_extension_outlasts_the_checkout_of_its_hold(fair: Fair) -> None:
    """Rules 13, 14: extended, checked out, declined: the hold goes on for as long as it was extended, once."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    longer = extend(shop.engine, held.key, None, "request")
    begun = begin(shop.engine, held.key, 1, 60)
    assert begun.expires_at == longer.expires_at
    assert go_back(shop.engine, held.key, 1).status == "held"
    assert shop.stored(held.key).expires_at == longer.expires_at
    with pytest.raises(AlreadyExtended):
        extend(shop.engine, held.key, None, "another")
    shop.audit()


@pytest.mark.parametrize("step", ["begin", "confirm"])
def test_what_is_beside_a_step_may_be_refused_and_is_asked_anew(fair: Fair, step: str) -> None:
    """Another was faster at what is beside it, an order say: no invariant is broken; without end it is busy."""
    shop = fair.shop
    held = shop.cart("ann", *fair.lines)
    taken, free = Marker(shop, "taken"), Marker(shop, "free")
    shop.store.write(taken.beside(held)[0])
    steps: dict[str, Callable[[Callable[[ReservationItem], Sequence[Write]]], ReservationItem]] = {
        "begin": lambda beside: begin(shop.engine, held.key, 1, TO_PAY, beside),
        "confirm": lambda beside: confirm(shop.engine, held.key, beside, checkout=1),
    }
    with pytest.raises(Busy):
        steps[step](taken.beside)
    assert shop.stored(held.key).serialize() == held.serialize()
    markers = chain([taken, taken, taken], [free] * 9)
    assert steps[step](lambda record: next(markers).beside(record)).status == BECOMES[step]
    assert free.is_there()
    shop.audit()
