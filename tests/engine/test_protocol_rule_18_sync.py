"""PROTOCOL.md's rule 18, where partners' answers are taken in: what is held and sold stays, whatever they say."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.catalogue.experiences import experiences, slots, summaries
from holdfast.catalogue.experiences.experiences import NewExperience
from holdfast.claims.slot import Counters
from holdfast.claims.span import midnight
from holdfast.platform.clock import to_datetime
from holdfast.platform.errors import Busy, ExperienceExists, Unavailable
from holdfast.platform.tables import Keys
from holdfast.reservations.ending import cancel, confirm
from holdfast.reservations.returning import give_back
from holdfast.reservations.states import State
from tests.engine.asking import Asking, Known, Question
from tests.engine.fair import EVERY_TROUBLE
from tests.engine.faults import Calls, Crash, conflict, crash_after, meanwhile, throttled
from tests.engine.shop import HOUR, Shop, refusal
from tests.engine.tours import ADULT, CHILD, DAY, INFANT, MORNING, TOUR, offered, pax, places

NOON, EVENING = "cd34", "ef56"
MOST_CALLS = 60


@pytest.fixture
def tour(shop: Shop) -> Asking:
    """A tour with ten places in the morning, for adults and for children, of which nothing was said yet."""
    return Asking(shop)


def another_tour(shop: Shop, number: int) -> Asking:
    """Return a tour of another tenant, of whom nothing is known: the shop is that tenant's from now on."""
    shop.keys = Keys(f"demo-{number + 2}")
    shop.tenant = shop.keys.tenant
    return Asking(shop)


def sell(tour: Asking, user: str, **wanted: int) -> Any:
    """Sell places, and return the reservation."""
    return confirm(tour.shop.engine, tour.shop.cart(user, places(**wanted)).key)


def refund(tour: Asking, bought: Any) -> None:
    """Take all places of a reservation back."""
    give_back(tour.shop.engine, bought.key, bought.lines, lambda: False, State.REFUNDED)


def is_on_sale(tour: Asking) -> dict[str, bool]:
    return {slot.key.sk: slot.on_sale for slot in tour.slots()}


# What is left, and what is ours.


def test_wire_5_fault_remaining_of_a_known_slot_never_refreshes(tour: Asking) -> None:
    """WIRE.md, section 5: a known slot is not skipped; the partner's number moves, up and down, whatever it was."""
    for left in (10, 3, 17, 0, 1):
        assert tour.hears(offered(MORNING, left, pax(ADULT, left), pax(CHILD, left + 1)))
        assert tour.counts() == {
            "": Counters(left, 0, 0, left, 0),
            ADULT: Counters(left, 0, 0, left, 0),
            CHILD: Counters(left + 1, 0, 0, left + 1, 0),
        }


def test_rule_18_what_is_held_and_sold_stays_whatever_the_partner_says(tour: Asking) -> None:
    """Rule 18: `available` moves by as much as the partner's number, from wherever holds and sales have left it."""
    tour.hears(offered())
    sell(tour, "ann", adult=2)
    tour.shop.cart("bob", places(adult=1, child=3))
    for left in (10, 12, 7, 4, 0, 30):
        tour.hears(offered(MORNING, left))
        assert tour.counts() == {
            "": Counters(left - 6, 4, 2, left, 0),
            ADULT: Counters(left - 3, 1, 2, left, 0),
            CHILD: Counters(left - 3, 3, 0, left, 0),
        }
        tour.shop.audit()


def test_rule_18_an_answer_names_neither_what_is_held_nor_what_is_sold(tour: Asking, calls: Calls) -> None:
    """Rule 18: in no update of a known slot, nor in its condition, is there a counter of ours."""
    tour.hears(offered())
    sell(tour, "ann", adult=2)
    calls.clear()
    tour.contains_our_sales = True
    tour.hears(offered(MORNING, 9, pax(ADULT, 8), pax(CHILD, 7, price_minor=1)))
    (transaction,) = calls.transactions
    header, update = (arguments for _, arguments in transaction.writes)
    assert header["Key"]["sk"]["S"] == "-"
    named = set(update["ExpressionAttributeNames"].values())
    assert {"available", f"partner#{CHILD}", f"counted#{ADULT}", "revision", "asked_at"} <= named
    assert not {name for name in named if name.startswith(("held", "sold"))}


def test_rule_18_an_answer_between_a_holds_read_and_its_write(tour: Asking, calls: Calls) -> None:
    """Rule 18: a number that moves is no change of terms: the hold is made as it stands; the sums are right."""
    tour.hears(offered())
    calls.clear()
    calls.trouble(meanwhile(lambda: tour.hears(offered(MORNING, 4))), "TransactWriteItems")
    tour.shop.cart("ann", places(adult=3))
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
    assert tour.counts()[""] == Counters(1, 3, 0, 4, 0)
    calls.trouble(meanwhile(lambda: tour.hears(offered(MORNING, 2))), "TransactWriteItems")
    assert refusal(lambda: tour.shop.cart("bob", places(adult=1))) == [("items.0", "insufficient_stock")]
    assert tour.counts()[""] == Counters(-1, 3, 0, 2, 0)
    tour.shop.audit()


@pytest.mark.parametrize("act", ["hold", "cancel", "sell", "refund"])
@pytest.mark.parametrize("left", [4, 10, 12])
def test_rule_18_anything_between_an_answers_read_and_its_write(
    tour: Asking, calls: Calls, act: str, left: int
) -> None:
    """Rule 18: what is held, let go, sold or given back meanwhile is no reason to begin anew, and is not lost."""
    shop = tour.shop
    tour.hears(offered())
    held, bought = shop.cart("ann", places(adult=2)), sell(tour, "bob", child=2)
    acts: dict[str, Callable[[], Any]] = {
        "hold": lambda: shop.cart("cid", places(adult=1, child=1)),
        "cancel": lambda: cancel(shop.engine, held.key),
        "sell": lambda: confirm(shop.engine, held.key),
        "refund": lambda: refund(tour, bought),
    }
    then = {"hold": (4, 2), "cancel": (0, 2), "sell": (0, 4), "refund": (2, 0)}[act]
    calls.trouble(meanwhile(acts[act]), "UpdateItem" if left == 10 else "TransactWriteItems")
    tour.hears(offered(MORNING, left))
    assert replace(tour.counts()[""], returned=0) == Counters(left - sum(then), *then, left, 0)
    shop.audit()


def test_rule_18_a_slot_is_written_where_anything_changed_and_else_not(tour: Asking, calls: Calls) -> None:
    """Rule 18, and DESIGN.md's units: of ten slots one has news, and one is written."""
    said = [offered(f"s{number}", 10) for number in range(10)]
    assert tour.hears(*said)
    calls.clear()
    assert tour.hears(offered("s0", 9), *said[1:])
    assert len(calls.transactions) == 1
    assert calls.operations == [
        "Query",  # what is known before
        "UpdateItem",  # the same answer? No.
        "GetItem",  # is it sold at all?
        "UpdateItem",  # the day is being changed
        "GetItem",  # and is it still?
        "Query",
        "TransactWriteItems",
        "GetItem",
        "Query",
        "PutItem",  # the summary
        "UpdateItem",  # all is taken in
    ]


def test_rule_18_the_same_answer_again_writes_the_header_and_when_it_was(tour: Asking, calls: Calls) -> None:
    """Two small writes: when the day was synced last, and the same in its summary."""
    tour.hears(offered())
    first, version = tour.known(), tour.summary()
    tour.shop.cart("ann", places(adult=1))
    calls.clear()
    tour.shop.clock.forward(HOUR)
    assert not tour.hears(offered())
    assert calls.operations == ["Query", "UpdateItem", "UpdateItem"]
    header, summary = tour.header(), tour.summary()
    assert header.synced_at == header.asked_at == tour.shop.clock.now()
    assert summary is not None
    assert version is not None
    assert (summary.synced_at, summary.version) == (header.synced_at, version.version + 1)
    assert tour.known().reported == first.reported
    assert tour.slot().whole.held == 1


def test_rule_18_the_same_answer_is_looked_into_where_anything_else_changed_the_day(tour: Asking) -> None:
    """What was cut short, or closed, or is in another zone by now, is not passed over for the answer being the same."""
    tour.hears(offered())
    starts_at = tour.slot().starts_at
    assert tour.hears(offered(), zone=ZoneInfo("Asia/Singapore"))
    assert tour.slot().starts_at == starts_at - 8 * HOUR
    item = experiences.change(tour.shop.engine, tour.shop.tenant, TOUR, {"enabled": False})
    slots.close(tour.shop.engine, item)
    assert is_on_sale(tour) == {MORNING: False}
    assert not tour.hears(offered(), zone=ZoneInfo("Asia/Singapore"))
    assert is_on_sale(tour) == {MORNING: False}
    experiences.change(tour.shop.engine, tour.shop.tenant, TOUR, {"enabled": True})
    assert tour.hears(offered(), zone=ZoneInfo("Asia/Singapore"))
    assert is_on_sale(tour) == {MORNING: True}


# Answers that come late.


def test_rule_18_an_older_answer_never_overwrites_a_newer_one(tour: Asking) -> None:
    """Two answers out of order: the older one is dropped whole, though it has slots that the newer one has not."""
    older, newer = tour.ask(), tour.ask()
    assert tour.take(newer, offered(MORNING, 7), offered(NOON, 5))
    known = tour.known()
    assert not tour.take(older, offered(MORNING, 10), offered(EVENING, 5))
    assert tour.known() == known
    assert not tour.take(newer, offered(MORNING, 1)), "nor one that was asked for at the same time"
    assert tour.known() == known


def test_rule_18_an_older_answer_is_dropped_though_the_newer_one_changed_nothing(tour: Asking) -> None:
    """The newer one said what was known already, and wrote no slot; the day knows of it all the same."""
    tour.hears(offered(MORNING, 12))
    older, newer = tour.ask(), tour.ask()
    assert not tour.take(newer, offered(MORNING, 12))
    assert not tour.take(older, offered(MORNING, 10))
    assert tour.count() == (12, 0, 0)


ANSWERS = {
    "both have news": ([offered(MORNING, 10), offered(EVENING, 3)], [offered(MORNING, 7), offered(NOON, 5)]),
    "the newer one has none": ([offered(MORNING, 10), offered(NOON, 2)], [offered(MORNING, 12)]),
    "the newer one has nothing": ([offered(MORNING, 10), offered(NOON, 2)], []),
    "the older one has nothing": ([], [offered(MORNING, 12)]),
}


@pytest.mark.parametrize("who_waits", ["the older", "the newer"])
@pytest.mark.parametrize("answers", ANSWERS)
def test_rule_18_two_answers_at_once_leave_the_newer_one(
    tour: Asking, calls: Calls, answers: str, who_waits: str
) -> None:
    """Either one's function stops before any of its calls while the other does all of its own."""
    said_older, said_newer = ANSWERS[answers]
    other = tour.shop.another()
    expected: Known | None = None
    for skip in range(-1, MOST_CALLS):
        tour.hears(offered(MORNING, 12))
        older, newer = tour.ask(), tour.ask()
        both = [(older, said_older), (newer, said_newer)]
        waiting, passing = both if who_waits == "the older" else both[::-1]
        calls.clear()
        if skip < 0:
            tour.take(newer, *said_newer)
            expected = tour.known()
            continue

        def pass_by(passing: Any = passing) -> None:
            tour.take(passing[0], *passing[1], shop=other)

        calls.trouble(meanwhile(pass_by), skip=skip)
        tour.take(waiting[0], *waiting[1])
        if len(calls.operations) <= skip:
            break
        known = tour.known()
        assert expected is not None
        assert _on_sale(known) == _on_sale(expected), f"waited before call {skip}: {calls.operations[skip]}"
        assert known.summary == expected.summary
        calls.clear()
        tour.take(tour.ask(), *said_newer)
        assert _on_sale(tour.known()) == _on_sale(expected)
        tour.shop.audit()
    else:
        raise AssertionError("there is no end of calls")
    assert skip >= 2


def _on_sale(known: Known) -> dict[str, Any]:
    """What is known of the slots that are on sale: those that another answer had are closed."""
    return {name: slot[1:] for name, slot in known.slots.items() if slot[0]}


# Slots and pax types that come and go.


def test_rule_18_a_vanished_slot_is_closed_and_never_deleted_under_a_hold(tour: Asking) -> None:
    """Its counters stay; what is held of it is bought all the same; nothing more is."""
    tour.hears(offered(), offered(NOON))
    held = tour.shop.cart("ann", places(adult=2))
    before = tour.slot()
    assert tour.hears(offered(NOON))
    gone = tour.slot()
    assert (gone.on_sale, gone.revision) == (False, before.revision + 1)
    assert tour.counts() == {**before.by_type, "": before.whole}
    assert refusal(lambda: tour.shop.cart("bob", places(adult=1))) == [("items.0", "not_on_sale")]
    assert not tour.hears(offered(NOON)), "once"
    confirm(tour.shop.engine, held.key)
    assert tour.count() == (8, 0, 2)
    assert tour.hears(offered(MORNING, 5), offered(NOON))
    back = tour.slot()
    assert (back.on_sale, back.revision, back.first_seen_at) == (True, gone.revision + 1, before.first_seen_at)
    assert tour.counts()[""] == Counters(3, 0, 2, 5, 0)
    tour.shop.cart("bob", places(adult=1))
    tour.shop.audit()


def test_rule_18_a_pax_type_that_vanished_is_off_sale_and_comes_back(tour: Asking) -> None:
    """Its terms and counters stay in the slot, which goes on being sold to others."""
    tour.hears(offered())
    held = tour.shop.cart("ann", places(adult=1, child=2))
    assert tour.hears(offered(MORNING, 9, pax(ADULT, 9)))
    assert tour.slot().terms_of(CHILD) is None
    assert tour.counts()[CHILD] == Counters(8, 2, 0, 10, 0)
    assert refusal(lambda: tour.shop.cart("bob", places(child=1))) == [("items.0", "pax_type_unknown")]
    tour.shop.cart("bob", places(adult=1))
    cancel(tour.shop.engine, held.key)
    assert tour.hears(offered(MORNING, 9, pax(ADULT, 9), pax(CHILD, 4), pax(INFANT, 2)))
    assert tour.counts()[CHILD] == Counters(4, 0, 0, 4, 0)
    assert tour.counts()[INFANT] == Counters(2, 0, 0, 2, 0)
    assert [terms.type for terms in tour.slot().pax] == [ADULT, CHILD, INFANT]
    tour.shop.cart("cid", places(child=1, infant=1))
    tour.shop.audit()


def test_rule_18_slots_are_left_alone_where_it_is_not_known_which_one_was_rejected(tour: Asking) -> None:
    tour.hears(offered(), offered(NOON))
    assert not tour.hears(offered(), rejected=[(None, "not an object")], may_close=False)
    assert is_on_sale(tour) == {MORNING: True, NOON: True}
    assert not tour.hears(offered(), rejected=[(NOON, "remaining: negative")])
    assert is_on_sale(tour) == {MORNING: True, NOON: True}
    assert tour.header().rejected == '[["cd34","remaining: negative"]]'
    assert tour.hears(offered())
    assert is_on_sale(tour) == {MORNING: True, NOON: False}


def test_rule_18_only_a_change_of_terms_is_a_new_revision(tour: Asking) -> None:
    """Numbers move at the same revision, so that holds that know the terms go on; every change of terms is seen."""
    tour.hears(offered())
    first = tour.slot()
    tour.hears(offered(MORNING, 4))
    assert (tour.slot().revision, tour.slot().changed_at) == (first.revision, first.changed_at)
    base = offered(MORNING, 4)
    changes = [
        replace(base, start_time="10:30"),
        replace(base, end_time="12:00"),
        replace(base, end_time=None),
        replace(base, currency="USD"),
        offered(MORNING, 4, pax(ADULT, 4, price_minor=1), pax(CHILD, 4)),
        offered(MORNING, 4, pax(ADULT, 4, minimum=2), pax(CHILD, 4)),
        offered(MORNING, 4, pax(ADULT, 4, maximum=3), pax(CHILD, 4)),
        offered(MORNING, 4, pax(CHILD, 4), pax(ADULT, 4)),
    ]
    for number, change in enumerate(changes, start=first.revision + 1):
        assert tour.hears(change)
        assert not tour.hears(change)
        now = tour.slot()
        assert (now.revision, now.changed_at) == (number, now.asked_at)
        assert now.first_seen_at == first.first_seen_at
        assert (now.start_time, now.end_time, now.currency) == (change.start_time, change.end_time, change.currency)
    assert tour.count() == (4, 0, 0)


@pytest.mark.parametrize(
    ("zone", "time", "after"),
    [
        ("Asia/Singapore", "00:00", -8 * HOUR),
        ("America/New_York", "23:30", 28 * HOUR + HOUR // 2),
        ("UTC", "10:00", 10 * HOUR),
    ],
)
def test_a_slot_begins_when_it_does_where_the_partner_is(tour: Asking, zone: str, time: str, after: int) -> None:
    tour.hears(offered(start=time), zone=ZoneInfo(zone))
    assert tour.slot().starts_at == midnight(DAY) + after


def test_a_slot_of_as_many_pax_types_as_there_may_be_is_one_write(tour: Asking) -> None:
    """DynamoDB's limits on expressions: fifty types are added, renewed, replaced by fifty others; more are too many."""

    def types(first: int, price: int) -> list[Any]:
        return [replace(pax(ADULT, 5 + price, price_minor=price), type=f"T{first + n}_{'x' * 34}") for n in range(50)]

    for first, price in ((0, 1), (0, 2), (50, 1), (50, 3)):
        assert tour.hears(offered(MORNING, 10, *types(first, price)))
        assert [terms.final_minor for terms in tour.slot().pax if terms.on_sale] == [price] * 50
    tour.hears(offered(MORNING, 4, *types(51, 9)), offered(NOON, 4))
    assert len(tour.slot().pax) == 100
    assert tour.count() == (10, 0, 0), "left as it was"
    assert tour.count(None, NOON) == (4, 0, 0)
    assert tour.header().rejected == '[["ab12","it has had too many pax types"]]'


def test_a_day_of_many_slots_is_taken_in(tour: Asking) -> None:
    """More than one page of a query, of more than a megabyte."""
    many = [replace(pax(ADULT, 5), type=f"T{n}_{'x' * 30}", name="N" * 200, description="D" * 80) for n in range(25)]
    said = [offered(f"s{number:03d}", 10, *many) for number in range(120)]
    assert tour.hears(*said)
    assert len(tour.slots()) == 120
    assert tour.hears(*said[:-1])
    assert list(is_on_sale(tour).values()) == [True] * 119 + [False]


# What falls short.


def test_rule_18_fewer_than_are_held_stops_new_holds_and_cuts_none(tour: Asking) -> None:
    """Rule 18: `available` goes negative; it is told, until holds are let go, refunds are made or places come back."""
    shop = tour.shop
    tour.hears(offered(), offered(NOON, 5))
    held, bought = shop.cart("ann", places(adult=3, child=1)), sell(tour, "bob", child=4)
    assert tour.short() == {}
    tour.hears(offered(MORNING, 5, pax(ADULT, 1), pax(CHILD, 5)), offered(NOON, 5))
    assert tour.counts()[""] == Counters(-3, 4, 4, 5, 0)
    assert tour.counts()[ADULT] == Counters(-2, 3, 0, 1, 0)
    assert tour.short() == {MORNING: 3}
    for wanted in ({"adult": 1}, {"child": 1}):
        assert refusal(lambda wanted=wanted: shop.cart("cid", places(**wanted))) == [("items.0", "insufficient_stock")]
    assert confirm(shop.engine, held.key).status == "confirmed"
    tour.hears(offered(MORNING, 6, pax(ADULT, 1), pax(CHILD, 5)), offered(NOON, 5))
    assert tour.short() == {MORNING: 2}
    refund(tour, bought)
    assert tour.count() == (2, 0, 4)
    summaries.refresh(shop.engine, shop.keys, TOUR, DAY)
    assert tour.short() == {MORNING: 2}, "an adult's place is still missing twice"
    tour.hears(offered(MORNING, 6, pax(ADULT, 3), pax(CHILD, 5)), offered(NOON, 5))
    assert tour.short() == {}
    shop.audit()


def test_more_shortages_than_one_transaction_has_room_for(tour: Asking) -> None:
    names = [f"s{number:03d}" for number in range(120)]
    tour.hears(*(offered(name, 5) for name in names))
    for name in names:
        tour.shop.cart(f"u-{name}", places(name, adult=1))
    tour.hears(*(offered(name, 0) for name in names))
    assert tour.short() == dict.fromkeys(names, 1)
    tour.hears(*(offered(name, 1) for name in names))
    assert tour.short() == {}


# Partners whose numbers contain what we sold.


def test_rule_18_what_was_sold_before_the_request_is_counted_once(tour: Asking) -> None:
    """The partner has ten, knows of the four we sold, says six; six can be had."""
    tour.contains_our_sales = True
    tour.hears(offered())
    sell(tour, "ann", adult=4)
    tour.shop.cart("bob", places(child=1))
    assert tour.counts()[""] == Counters(5, 1, 4, 10, 0)
    tour.hears(offered(MORNING, 6))
    assert tour.counts() == {
        "": Counters(5, 1, 4, 6, 4),
        ADULT: Counters(6, 0, 4, 6, 4),
        CHILD: Counters(5, 1, 0, 6, 0),
    }
    assert not tour.hears(offered(MORNING, 6))
    tour.shop.audit()


def test_rule_18_what_is_sold_while_the_partner_answers_only_undersells(tour: Asking) -> None:
    """It may have known of it or not; the next answer settles it."""
    tour.contains_our_sales = True
    tour.hears(offered())
    question = tour.ask()
    sell(tour, "ann", adult=4)
    tour.take(question, offered(MORNING, 6))
    assert tour.count() == (2, 0, 4)
    tour.hears(offered(MORNING, 6))
    assert tour.count() == (6, 0, 4)
    question = tour.ask()
    sell(tour, "bob", adult=1)
    tour.take(question, offered(MORNING, 6))
    assert tour.count() == (5, 0, 5)
    tour.shop.audit()


def test_rule_18_a_refund_while_the_partner_answers_never_oversells(tour: Asking) -> None:
    """Of ten, four sold: one is refunded, of which the partner knows, and sold again: six can be had, and not seven."""
    tour.contains_our_sales = True
    tour.hears(offered())
    bought = sell(tour, "ann", adult=1)
    sell(tour, "bob", adult=3)
    question = tour.ask()
    refund(tour, bought)
    sell(tour, "cid", adult=1)
    tour.take(question, offered(MORNING, 7))
    assert tour.count() == (6, 0, 4)
    tour.hears(offered(MORNING, 6))
    assert tour.count() == (6, 0, 4)
    refund(tour, sell(tour, "dan", adult=2))
    tour.hears(offered(MORNING, 6))
    assert tour.count() == (6, 0, 4)
    tour.shop.audit()


def test_rule_18_a_setting_that_changes_is_counted_from_the_next_answer_on(tour: Asking) -> None:
    """Though the partner says the same as before."""
    tour.hears(offered())
    sell(tour, "ann", adult=4)
    for contains, free in ((True, 10), (False, 6), (True, 10)):
        tour.contains_our_sales = contains
        tour.hears(offered())
        assert tour.count() == (free, 0, 4)
        tour.shop.audit()


# What goes wrong.

SAID = {
    "the first answer": (
        [],
        [offered(MORNING, 9), offered(NOON, 4), offered(EVENING, 3, pax(INFANT, 3))],
    ),
    "news of everything": (
        [offered(MORNING, 10), offered(EVENING, 3)],
        [offered(MORNING, 1, pax(ADULT, 1, price_minor=7), pax(INFANT, 1)), offered(NOON, 4)],
    ),
    "the same answer": ([offered(MORNING, 10)], [offered(MORNING, 10)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("contains", [False, True])
@pytest.mark.parametrize("said", SAID)
def test_rule_18_killed_between_any_two_calls_and_done_again(
    shop: Shop, calls: Calls, said: str, contains: bool, trouble: str
) -> None:
    """Whatever befalls any call, the sums stand; once the answer is taken in again, all is as if nothing had been."""
    before, after = SAID[said]
    expected: Known | None = None
    for skip in range(-1, MOST_CALLS):
        tour = another_tour(shop, skip)
        tour.contains_our_sales = contains
        tour.hears(*before)
        if before:
            sell(tour, "ann", adult=2)
            shop.cart("bob", places(adult=1, child=1))
        calls.clear()
        question = tour.ask()
        if skip >= 0:
            calls.trouble(EVERY_TROUBLE[trouble], skip=skip)
        with suppress(Crash, Unavailable, Busy):
            tour.take(question, *after)
        made = len(calls.operations)
        calls.clear()
        shop.audit()
        if made <= skip:
            break
        if skip >= 0:
            tour.hears(*after)
        known = replace(tour.known(), reported=("", None, None))
        if expected is None:
            expected = known
        assert known == expected, f"{trouble} at call {skip}"
        assert tour.header().synced_at == tour.header().asked_at
        shop.audit()
    else:
        raise AssertionError("there is no end of calls")


def test_rule_07_contention_without_end_is_busy_and_the_next_answer_has_it_all(tour: Asking, calls: Calls) -> None:
    tour.hears(offered())
    for trouble in (conflict, throttled):
        calls.trouble(trouble, "TransactWriteItems", times=50)
        with pytest.raises(Busy):
            tour.hears(offered(MORNING, 4))
        calls.clear()
        assert tour.count() == (10, 0, 0)
    assert tour.hears(offered(MORNING, 4))
    assert tour.count() == (4, 0, 0)


def test_rule_08_an_answer_of_dynamodb_that_was_lost_is_no_second_change(tour: Asking, calls: Calls) -> None:
    """The change was made and then turned away, as far as anybody knows: it is not made again, and counts as news."""
    tour.hears(offered())
    for made in range(2):

        def twice(call: Any) -> Any:
            call.make()
            return throttled(call)

        calls.trouble(twice, "TransactWriteItems")
        assert tour.hears(offered(MORNING, 4 + made))
        assert tour.count() == (4 + made, 0, 0)


# Taken off sale.


@pytest.mark.parametrize("who_waits", ["the answer", "the closing"])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("ahead", [0, 25_000])
def test_rule_18_an_answer_on_its_way_reopens_nothing(
    shop: Shop, calls: Calls, monkeypatch: pytest.MonkeyPatch, ahead: int, is_known: bool, who_waits: str
) -> None:
    """The experience is disabled while an answer is taken in, or the other way round, before any of their calls.

    That may be the first answer ever: nothing tells then that there is such a day. It may be one that was asked for
    later than the experience was disabled, by a grant that was to come.
    """
    monkeypatch.setattr(slots, "_DAYS_CLOSED", 1)
    shop.clock.forward(midnight(DAY) - shop.clock.now())

    def disable(by: Shop) -> None:
        slots.close(by.engine, experiences.change(by.engine, by.tenant, TOUR, {"enabled": False}))

    for skip in range(MOST_CALLS):
        tour = another_tour(shop, skip)
        if is_known:
            tour.hears(offered(MORNING, 9))
        asked = tour.ask()
        question = replace(asked, asked_at=asked.asked_at + ahead)
        calls.clear()

        def answer(by: Shop, tour: Asking = tour, question: Question = question) -> None:
            tour.take(question, offered(MORNING, 10), offered(NOON), shop=by)

        first, second = (answer, disable) if who_waits == "the answer" else (disable, answer)
        other = shop.another()
        calls.trouble(meanwhile(lambda second=second, other=other: second(other)), skip=skip)
        first(shop)
        if len(calls.operations) <= skip:
            break
        assert not any(is_on_sale(tour).values()), f"before call {skip}: {calls.operations[skip]}"
        summary = tour.summary()
        assert summary is None or summary.final_minor is None, f"before call {skip}: {calls.operations[skip]}"
    else:
        raise AssertionError("there is no end of calls")
    assert skip >= 4


def test_a_day_is_closed_though_somebody_asked_later(tour: Asking, calls: Calls) -> None:
    """Whose answer came in before it was taken off sale; what is written there is what the refusal showed."""
    shop = tour.shop
    asked = tour.ask()
    tour.take(replace(asked, asked_at=asked.asked_at + 25_000), offered())
    item = experiences.change(shop.engine, shop.tenant, TOUR, {"enabled": False})
    calls.clear()
    slots.close(shop.engine, item)
    assert is_on_sale(tour) == {MORNING: False}
    got = [call.arguments["Key"]["pk"]["S"] for call in calls.made if call.operation == "GetItem"]
    assert not [key for key in got if "#SLOT#" in key]


def test_a_whole_month_is_closed_in_a_few_hundred_requests_and_again_in_fewer(shop: Shop, calls: Calls) -> None:
    """WIRE.md's 31 days of ten slots; a request has half a minute, and is repeated where that was not enough."""
    tour = Asking(shop)
    first = to_datetime(shop.clock.now()).date()
    said = [offered(f"s{number}") for number in range(10)]
    for number in range(31):
        date = (first + timedelta(days=number)).isoformat()
        before = slots.look(shop.engine, shop.tenant, TOUR, date)
        told: dict[str, Any] = {"digest": "x", "rejected": (), "asked_at": shop.clock.now(), "zone": ZoneInfo("UTC")}
        slots.keep(shop.engine, shop.tenant, TOUR, date, before, said, may_close=True, contains_our_sales=False, **told)
    item = experiences.change(shop.engine, shop.tenant, TOUR, {"enabled": False})
    shop.clock.forward(10)
    for most in (31 * 9, 31 * 4 + 10):
        calls.clear()
        slots.close(shop.engine, item)
        assert len(calls.operations) <= most
    assert not any(is_on_sale(tour).values())


def test_rule_18_many_slots_are_one_transaction_and_one_by_one_where_others_are_in_the_way(
    tour: Asking, calls: Calls
) -> None:
    """Ninety-nine behind one look at the header; a conflict or a change of one of them keeps no other from its news."""
    names = [f"s{number:03d}" for number in range(250)]
    calls.clear()
    assert tour.hears(*(offered(name) for name in names))
    assert [len(call.written) for call in calls.transactions] == [100, 100, 53]
    calls.clear()
    calls.trouble(conflict, "TransactWriteItems")
    assert tour.hears(*(offered(name, 9) for name in names[:5]), *(offered(name) for name in names[5:]))
    assert [len(call.written) for call in calls.transactions] == [6, 2, 2, 2, 2, 2]
    other = tour.shop.another()
    calls.clear()
    calls.trouble(meanwhile(lambda: other.cart("ann", places("s002", adult=1))), "TransactWriteItems")
    assert tour.hears(*(offered(name, 8) for name in names[:5]), *(offered(name) for name in names[5:]))
    assert [tour.count(None, name) for name in names[:5]] == [(8, 0, 0)] * 2 + [(7, 1, 0)] + [(8, 0, 0)] * 2
    tour.shop.audit()


def test_closing_goes_on_where_it_was_killed(tour: Asking, calls: Calls) -> None:
    shop = tour.shop
    tour.hears(offered(), offered(NOON), offered(EVENING))
    calls.trouble(conflict, "TransactWriteItems")
    item = experiences.change(shop.engine, shop.tenant, TOUR, {"enabled": False})
    for _ in range(40):
        calls.clear()
        calls.trouble(crash_after, "TransactWriteItems")
        try:
            slots.close(shop.engine, item)
        except Crash:
            continue
        break
    assert not any(is_on_sale(tour).values())
    summary = tour.summary()
    assert summary is not None
    assert summary.final_minor is None
    assert [slot.revision for slot in tour.slots()] == [2, 2, 2], "each closed once"


# Summaries and experiences.


def test_the_last_summary_to_be_written_has_read_everything(tour: Asking, calls: Calls) -> None:
    """A price comes and a hold takes it, each right before another's summary is written."""
    shop = tour.shop
    tour.hears(offered(MORNING, 10, pax(ADULT, 10), pax(CHILD, 2)))
    other = shop.another()

    def act() -> None:
        other.cart("ann", places(child=2))
        summaries.refresh(other.engine, other.keys, TOUR, DAY)

    calls.clear()
    calls.trouble(meanwhile(act), "PutItem")
    tour.hears(offered(MORNING, 10, pax(ADULT, 10), pax(CHILD, 2), pax(INFANT, 1)))
    summary = tour.summary()
    assert summary is not None
    assert summary.final_minor == 34_100
    assert calls.operations.count("PutItem") == 2


def test_an_experience_whose_answer_was_lost_is_put_up_once(shop: Shop, calls: Calls) -> None:
    """PROTOCOL.md 8, with and without a key: our own work is known again, another's is refused."""
    new = NewExperience("77", "Walk", "tours", "77", (1, 2), True)
    for number, trouble in enumerate(EVERY_TROUBLE):
        each = replace(new, id=f"77{number}", partner_product_id=f"77{number}")
        keyed = shop.keyed("admin", "experiences", f"k{number}", each.id)
        for operation in ("PutItem", "TransactWriteItems"):
            calls.trouble(EVERY_TROUBLE[trouble], operation)
            try:
                experiences.create(shop.engine, shop.tenant, each, keyed)
            except (Crash, Unavailable):
                experiences.create(shop.engine, shop.tenant, each, keyed)
            calls.clear()
        shop.clock.forward(1)
        with pytest.raises(ExperienceExists):
            experiences.create(shop.engine, shop.tenant, each, None)
    calls.trouble(lambda call: (call.make(), throttled(call))[1], "PutItem", skip=1)
    assert experiences.create(shop.engine, shop.tenant, new, None).version == 1
    found, _ = experiences.list_all(shop.store, shop.tenant, 100, None)
    assert len(found) == len(EVERY_TROUBLE) + 1


def test_two_changes_of_an_experience_at_once_are_both_made(tour: Asking, calls: Calls) -> None:
    shop, other = tour.shop, tour.shop.another()

    def rename() -> None:
        experiences.change(other.engine, other.tenant, TOUR, {"name": "Another"})

    calls.trouble(meanwhile(rename), "PutItem")
    item = experiences.change(shop.engine, shop.tenant, TOUR, {"weekdays": [1]})
    assert (item.name, item.weekdays, item.version) == ("Another", [1], 3)
