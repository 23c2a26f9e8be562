"""PROTOCOL.md's rule 18, where slots are sold: the limits of slot and pax types, the partner's numbers kept apart."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from holdfast.catalogue.experiences.lines import KNOWN_FOR
from holdfast.claims.slot import Counters
from holdfast.claims.span import midnight
from holdfast.platform.dynamodb import Delete, Store, Update
from holdfast.platform.errors import (
    Busy,
    HoldTaken,
    InvariantBroken,
    MixedCurrencies,
    ReservationOver,
    TooManyLines,
    Unavailable,
)
from holdfast.platform.items import ReservationItem, SlotItem
from holdfast.reservations.checking_out import abandon, begin, go_back
from holdfast.reservations.ending import cancel, confirm, withdraw
from holdfast.reservations.engine import merged
from holdfast.reservations.expiry import expire
from holdfast.reservations.extension import extend
from holdfast.reservations.reacquiring import reacquire
from holdfast.reservations.returning import give_back
from holdfast.reservations.slot_places import short
from holdfast.reservations.states import State
from tests.engine.expiring import handle
from tests.engine.fair import EVERY_TROUBLE, LENGTH, TO_PAY, expired
from tests.engine.faults import Calls, Crash, conflict, meanwhile, throttled
from tests.engine.shop import HOUR, ListQueue, Shop, hall, refusal, resale, seat, units
from tests.engine.tours import ADULT, CHILD, DAY, INFANT, MORNING, PRICES, Tour, offered, pax, places

MIDNIGHT = midnight(DAY)
START = MIDNIGHT + 10 * HOUR
"""When the slot begins."""


@pytest.fixture
def tour(shop: Shop) -> Tour:
    """A tour with ten places in the morning, for adults and for children."""
    tour = Tour(shop)
    tour.says(offered())
    return tour


def is_free(tour: Tour) -> bool:
    """Return whether all places can be had, and nobody has any."""
    return {tour.count(), tour.count(ADULT), tour.count(CHILD)} == {(10, 0, 0)}


def test_rule_18_a_hold_takes_of_the_slot_and_of_each_pax_type(tour: Tour, calls: Calls) -> None:
    """Rule 18: places of two types are one change of one item; what the partner said stays as it is."""
    held = tour.shop.cart("ann", places(adult=2, child=1))
    assert len(calls.transactions[-1].written) == 2
    assert tour.counts() == {
        "": Counters(7, 3, 0, 10, 0),
        ADULT: Counters(8, 2, 0, 10, 0),
        CHILD: Counters(9, 1, 0, 10, 0),
    }
    assert [(line.pax_type, line.quantity, line.unit_price_minor, line.currency) for line in held.lines] == [
        (ADULT, 2, PRICES[ADULT], "SGD"),
        (CHILD, 1, PRICES[CHILD], "SGD"),
    ]
    tour.shop.audit()


def test_rule_18_a_warm_hold_is_one_request(tour: Tour, calls: Calls) -> None:
    """DESIGN.md, hot path: the first hold reads the slot, the next ones know it for ten seconds."""
    for expected in (["BatchGetItem", "TransactWriteItems"], ["TransactWriteItems"]):
        calls.clear()
        tour.shop.cart("ann", places(adult=1))
        assert calls.operations == expected
    tour.shop.clock.forward(KNOWN_FOR)
    calls.clear()
    tour.shop.cart("ann", places(adult=1))
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]


def test_rule_18_what_a_refusal_showed_is_known(tour: Tour, calls: Calls) -> None:
    """DESIGN.md, hot path: after a change that a hold ran into, the next hold is one request again."""
    tour.shop.cart("ann", places(adult=1))
    tour.says(offered("ab12", 10, pax(ADULT, 10, price_minor=500)))
    for expected in (["TransactWriteItems"] * 2, ["TransactWriteItems"]):
        calls.clear()
        assert tour.shop.cart("bob", places(adult=1)).lines[0].unit_price_minor == 500
        assert calls.operations == expected


@pytest.mark.parametrize(
    ("slot_places", "adults", "wanted"),
    [(3, 10, {"adult": 2, "child": 2}), (10, 1, {"adult": 2}), (10, 1, {"adult": 2, "child": 3})],
    ids=["the slot's own limit", "a pax type's limit", "one of two pax types'"],
)
def test_rule_18_both_limits_hold(shop: Shop, slot_places: int, adults: int, wanted: dict[str, int]) -> None:
    """Rule 18: neither the places of the slot nor those of a pax type are exceeded, and nothing is taken in part."""
    tour = Tour(shop)
    tour.says(offered(MORNING, slot_places, pax(ADULT, adults), pax(CHILD, 10)))
    assert refusal(lambda: shop.cart("ann", places(**wanted))) == [("items.0", "insufficient_stock")]
    assert tour.count() == (slot_places, 0, 0)
    assert tour.count(ADULT) == (adults, 0, 0)
    assert tour.count(CHILD) == (10, 0, 0)
    shop.audit()


@pytest.mark.parametrize("wanted", [{"adult": 4}, {"adult": 3, "child": 7}, {"child": 10}])
def test_rule_18_the_last_places_can_be_had(shop: Shop, wanted: dict[str, int]) -> None:
    """DESIGN.md, invariant 2: whatever fits both limits is not refused."""
    tour = Tour(shop)
    tour.says(offered(MORNING, 10, pax(ADULT, 4), pax(CHILD, 10)))
    shop.cart("ann", places(**wanted))
    assert tour.count() == (10 - sum(wanted.values()), sum(wanted.values()), 0)
    shop.audit()


def test_rule_18_two_lines_of_one_slot_are_one(tour: Tour, calls: Calls) -> None:
    """Rule 2: their places are summed by pax type, held by one change, and judged together."""
    held = tour.shop.cart("ann", places(adult=2), places(adult=1, child=1))
    assert [(line.pax_type, line.quantity) for line in held.lines] == [(ADULT, 3), (CHILD, 1)]
    assert len(calls.transactions[-1].written) == 2
    tour.says(offered(MORNING, 10, pax(ADULT, 10, maximum=3)))
    assert refusal(lambda: tour.shop.cart("bob", places(adult=2), places(adult=2))) == [
        ("items.0", "pax_above_maximum")
    ]
    tour.shop.cart("bob", places(adult=1), places(adult=2))
    assert tour.count(ADULT) == (4, 6, 0)
    tour.shop.audit()


def test_rule_02_lines_of_different_slots_days_and_tours_stay_apart() -> None:
    """Rule 2: only what is one slot is one line."""
    one = replace(places(adult=1), field="items.0")
    others = [replace(one, experience_id="15"), replace(one, date="2023-12-17"), replace(one, slot_id="noon")]
    assert merged([one, *others]) == [one, *others]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"adult": 1}, "pax_below_minimum"),
        ({"adult": 5}, "pax_above_maximum"),
        ({"infant": 1}, "pax_type_unknown"),
        ({"adult": 2, "infant": 1}, "pax_type_unknown"),
        ({"adult": 2}, None),
        ({"adult": 4, "child": 1}, None),
    ],
)
def test_rule_18_minimum_and_maximum_of_a_pax_type(shop: Shop, wanted: dict[str, int], code: str | None) -> None:
    """Of a pax type that is chosen at all, at least its minimum and at most its maximum are taken."""
    tour = Tour(shop)
    tour.says(offered(MORNING, 10, pax(ADULT, 10, minimum=2, maximum=4), pax(CHILD, 10)))
    if code is None:
        assert shop.cart("ann", places(**wanted)).status == "held"
        return
    assert refusal(lambda: shop.cart("ann", places(**wanted))) == [("items.0", code)]
    assert tour.count() == (10, 0, 0)


def test_rule_18_a_slot_that_never_was_is_not_found(tour: Tour) -> None:
    """Nor is one that was there when it was last looked at."""
    shop = tour.shop
    assert refusal(lambda: shop.cart("ann", places("never", adult=1))) == [("items.0", "slot_not_found")]
    shop.cart("ann", places(adult=1))
    shop.store.write(Delete(tour.key()))
    assert refusal(lambda: shop.cart("bob", places(adult=1))) == [("items.0", "slot_not_found")]


def test_rule_18_free_places_cost_nothing(shop: Shop) -> None:
    """An infant's place costs nothing, and is one of the slot's all the same."""
    tour = Tour(shop)
    tour.says(offered(MORNING, 2, pax(ADULT, 2), pax(INFANT, 2)))
    held = shop.cart("ann", places(adult=1, infant=1))
    assert [line.unit_price_minor for line in held.lines] == [PRICES[ADULT], 0]
    assert refusal(lambda: shop.cart("bob", places(infant=1))) == [("items.0", "insufficient_stock")]


@pytest.mark.parametrize("is_warm", [False, True])
def test_rule_18_a_slot_that_has_begun_is_not_sold(tour: Tour, is_warm: bool) -> None:
    """To the millisecond, by the request's own clock; what is held can be bought after that, as anything else."""
    shop = tour.shop
    shop.clock.forward(START - 1 - shop.clock.now())
    if is_warm:
        shop.cart("ann", places(adult=1))
    held = shop.cart("ann", places(adult=1))
    shop.clock.forward(1)
    assert refusal(lambda: shop.cart("bob", places(adult=1))) == [("items.0", "slot_begun")]
    assert confirm(shop.engine, held.key).status == "confirmed"
    shop.audit()


def test_rule_18_a_slot_that_vanished_is_not_sold(tour: Tour) -> None:
    """A slot that the partner does not tell of any more is closed, to who knew it as open too; what is held stays."""
    shop = tour.shop
    held = shop.cart("ann", places(adult=2))
    tour.says(offered("other"))
    assert refusal(lambda: shop.cart("bob", places(adult=1))) == [("items.0", "not_on_sale")]
    assert refusal(lambda: shop.another().cart("bob", places(adult=1))) == [("items.0", "not_on_sale")]
    assert tour.count() == (8, 2, 0)
    confirm(shop.engine, held.key)
    assert tour.count() == (8, 0, 2)
    tour.says(offered(), offered("other"))
    assert shop.cart("bob", places(adult=1)).status == "held"
    shop.audit()


def test_rule_18_a_pax_type_that_vanished_is_not_sold(tour: Tour) -> None:
    """A type that the partner does not tell of any more cannot be chosen; who holds places of it keeps them."""
    shop = tour.shop
    held = shop.cart("ann", places(adult=1, child=1))
    tour.says(offered(MORNING, 10, pax(ADULT, 10)))
    assert refusal(lambda: shop.cart("bob", places(child=1))) == [("items.0", "pax_type_unknown")]
    cancel(shop.engine, held.key)
    shop.audit()


@pytest.mark.parametrize("is_warm", [False, True])
def test_rule_18_a_price_that_changed_in_between_is_read_again(tour: Tour, calls: Calls, is_warm: bool) -> None:
    """Rule 1: another price was written right before the hold: it is held at that one, never at the old one."""
    shop = tour.shop
    if is_warm:
        shop.cart("ann", places(child=1))
    dearer = offered(MORNING, 10, pax(ADULT, 10, price_minor=40_000), pax(CHILD, 10))
    calls.trouble(meanwhile(lambda: tour.says(dearer)), "TransactWriteItems")
    held = shop.cart("ann", places(adult=1, child=1))
    assert [line.unit_price_minor for line in held.lines] == [40_000, PRICES[CHILD]]
    shop.audit()


@pytest.mark.parametrize(
    ("news", "code"),
    [
        (offered(MORNING, 10, pax(ADULT, 10, maximum=1)), "pax_above_maximum"),
        (offered(MORNING, 10, pax(ADULT, 10, minimum=3)), "pax_below_minimum"),
        (offered(MORNING, 10, pax(CHILD, 10)), "pax_type_unknown"),
        (offered(MORNING, 1), "insufficient_stock"),
        (offered(MORNING, 10, pax(ADULT, 1)), "insufficient_stock"),
        (offered(MORNING, start="00:00"), None),
        (offered("other"), "not_on_sale"),
    ],
    ids=["maximum", "minimum", "no such type", "slot too small", "type too small", "another time", "closed"],
)
def test_rule_18_terms_that_changed_in_between_are_heeded(
    tour: Tour, calls: Calls, news: Any, code: str | None
) -> None:
    """Rule 1: whatever the partner said right before the hold is what it is judged by."""
    shop = tour.shop
    shop.cart("ann", places(adult=2))
    calls.trouble(meanwhile(lambda: tour.says(news)), "TransactWriteItems")
    if code is None:
        assert shop.cart("bob", places(adult=2)).status == "held"
    else:
        assert refusal(lambda: shop.cart("bob", places(adult=2))) == [("items.0", code)]
    shop.audit()


def test_rule_18_more_places_in_between_are_no_reason_to_refuse(tour: Tour, calls: Calls) -> None:
    """Only numbers changed, no terms: the hold is made at once, and a sync beside it is none of its business."""
    shop = tour.shop
    shop.cart("ann", places(adult=1))
    calls.clear()
    calls.trouble(meanwhile(lambda: tour.says(offered(MORNING, 12))), "TransactWriteItems")
    shop.cart("bob", places(adult=1))
    assert len(calls.transactions) == 1
    assert tour.counts()[""] == Counters(10, 2, 0, 12, 0)
    shop.audit()


def test_rule_05_one_item_is_the_proof_and_the_crowd_behind_costs_nothing(tour: Tour, calls: Calls) -> None:
    """Rules 5 and 6: the refusing condition's item is the proof; for under a second the crowd is told from memory."""
    shop = tour.shop
    shop.cart("ann", places(adult=10))
    calls.clear()
    assert refusal(lambda: shop.cart("bob", places(adult=1))) == [("items.0", "insufficient_stock")]
    assert calls.operations == ["TransactWriteItems", "GetItem"]
    calls.clear()
    assert refusal(lambda: shop.cart("cat", places(child=1))) == [("items.0", "insufficient_stock")]
    assert calls.operations == ["GetItem"], "only whether it is a replay is looked at"
    shop.clock.forward(1_000)
    calls.clear()
    refusal(lambda: shop.cart("cat", places(child=1)))
    assert "TransactWriteItems" in calls.operations


def test_rule_06_only_more_than_was_left_is_refused_from_memory(shop: Shop) -> None:
    """Rule 6: of a pax type that is short others are not, and fewer of it are asked for in earnest."""
    tour = Tour(shop)
    tour.says(offered(MORNING, 10, pax(ADULT, 2), pax(CHILD, 10)))
    assert refusal(lambda: shop.cart("ann", places(adult=3))) == [("items.0", "insufficient_stock")]
    shop.cart("ann", places(adult=2))
    shop.cart("ann", places(child=8))
    assert tour.count() == (0, 10, 0)


def test_rule_03_a_replay_is_what_was_answered_first(tour: Tour) -> None:
    """Rule 3: the same key is answered from the record, whatever became of slot, price and reservation since."""
    shop = tour.shop
    held = shop.cart("ann", places(adult=2), key="k")
    said = (held.id, held.expires_at, [line.attribute_values for line in held.lines])
    tour.says(offered("other"))
    for step in (lambda: None, lambda: cancel(shop.engine, held.key), lambda: shop.clock.forward(START)):
        step()
        again = shop.cart("ann", places(adult=2), key="k")
        assert (again.id, again.expires_at, [line.attribute_values for line in again.lines]) == said
    assert tour.count() == (10, 0, 0)


MIXED = (units("1", 2), seat("A", 1), places(adult=2, child=1))


@pytest.fixture
def full(tour: Tour) -> Tour:
    """The tour beside a product, seats, a hall and a resale ticket."""
    tour.shop.product()
    tour.shop.seats({"A": 2})
    return tour


def test_rule_03_a_mixed_cart_is_held_and_sold_whole(full: Tour, calls: Calls) -> None:
    """DESIGN.md, invariant 3: product, seat, places, a hall and a resale ticket, each in its own currency's cart."""
    shop = full.shop
    full.says(offered(currency="USD"))
    lines = [*MIXED, resale(shop.listing()), hall(START, START + HOUR)]
    held = shop.cart("ann", *lines)
    assert len(calls.transactions[-1].written) == 1 + 1 + 1 + 1 + 1 + 1
    assert [line.kind for line in held.lines] == ["product", "seat", "slot", "slot", "listing", "venue"]
    confirm(shop.engine, held.key)
    assert full.count() == (7, 0, 3)
    shop.audit()


@pytest.mark.parametrize("missing", ["product", "seat", "slot", "pax"])
def test_rule_03_a_mixed_cart_is_all_or_nothing(full: Tour, missing: str) -> None:
    """DESIGN.md, invariant 3: whichever line stands in the way, none of the others is held."""
    shop = full.shop
    full.says(offered(MORNING, 10, pax(ADULT, 10), pax(CHILD, 3), currency="USD"))
    taken = {"product": units("1", 9), "seat": seat("A", 1), "slot": places(adult=8), "pax": places(child=3)}
    shop.cart("bob", taken[missing])
    before = (shop.count("1"), full.counts())
    field = {"product": "items.0", "seat": "items.1"}.get(missing, "items.2")
    code = "seat_taken" if missing == "seat" else "insufficient_stock"
    assert refusal(lambda: shop.cart("ann", *MIXED)) == [(field, code)]
    assert (shop.count("1"), full.counts()) == before
    assert (shop.unit(shop.seat_key("A", 1)).holder is None) == (missing != "seat")
    shop.audit()


def test_rule_09_every_line_in_the_way_is_named(full: Tour) -> None:
    """Rule 9: a refusal looks at the other lines once, places among them."""
    shop = full.shop
    full.says(offered(currency="USD"), offered("noon", currency="USD"))
    shop.cart("bob", units("1", 9), seat("A", 1), places(adult=8))
    assert refusal(lambda: shop.cart("ann", *MIXED, places("noon", adult=1), places("never", adult=1))) == [
        ("items.0", "insufficient_stock"),
        ("items.1", "seat_taken"),
        ("items.2", "insufficient_stock"),
        ("items.4", "slot_not_found"),
    ]


def test_a_cart_has_one_currency(full: Tour) -> None:
    """PROTOCOL.md 23: a cart has one currency; what a function remembers of a slot's is looked at again first."""
    shop = full.shop
    assert shop.cart("ann", places(adult=1)).lines[0].currency == "SGD"
    with pytest.raises(MixedCurrencies):
        shop.cart("ann", *MIXED)
    full.says(offered(currency="USD"))
    assert shop.cart("ann", *MIXED).status == "held"


def test_a_cart_keeps_at_most_a_hundred_lines(shop: Shop) -> None:
    """Each pax type is a line of its own: what would be more than a reservation keeps is refused before it is tried."""
    tour = Tour(shop)
    types = [replace(pax(ADULT, 10), type=f"T{number}") for number in range(6)]
    tour.says(*(offered(f"s{number}", 100, *types) for number in range(18)))
    chosen = tuple((offer.type, 1) for offer in types)
    lines = [replace(places(f"s{number}", adult=1), pax=chosen, quantity=6) for number in range(18)]
    with pytest.raises(TooManyLines):
        shop.cart("ann", *lines)
    assert len(shop.cart("ann", *lines[:16]).lines) == 96
    shop.audit()


Step = Callable[[Shop, ReservationItem], object]


def let_lapse(shop: Shop, held: ReservationItem) -> bool:
    """Let a hold's time pass, and its message come; return whether that was the end of it."""
    shop.clock.forward(LENGTH)
    return not handle(shop.engine, ListQueue(), [shop.message(held)])


def bought(shop: Shop, held: ReservationItem) -> ReservationItem:
    """Sell what is held."""
    return confirm(shop.engine, held.key)


def half_back(shop: Shop, held: ReservationItem) -> None:
    """Sell what is held, and take one adult back."""
    confirm(shop.engine, held.key)
    give_back(shop.engine, held.key, [held.lines[0].of(1)], lambda: False, State.REFUNDED)


LIVES: dict[str, tuple[Step, tuple[int, int, int], tuple[int, int, int]]] = {
    "confirm": (bought, (7, 0, 3), (8, 0, 2)),
    "cancel": (lambda shop, held: cancel(shop.engine, held.key), (10, 0, 0), (10, 0, 0)),
    "expire": (let_lapse, (10, 0, 0), (10, 0, 0)),
    "extend": (lambda shop, held: extend(shop.engine, held.key, None, "r"), (7, 3, 0), (8, 2, 0)),
    "begin": (lambda shop, held: begin(shop.engine, held.key, 1, TO_PAY), (7, 3, 0), (8, 2, 0)),
    "decline": (
        lambda shop, held: (begin(shop.engine, held.key, 1, TO_PAY), go_back(shop.engine, held.key, 1)),
        (7, 3, 0),
        (8, 2, 0),
    ),
    "abandon": (
        lambda shop, held: (begin(shop.engine, held.key, 1, TO_PAY), abandon(shop.engine, held.key, 1)),
        (10, 0, 0),
        (10, 0, 0),
    ),
    "withdraw": (
        lambda shop, held: (bought(shop, held), withdraw(shop.engine, held.key)),
        (10, 0, 0),
        (10, 0, 0),
    ),
    "give back in part": (half_back, (8, 0, 2), (9, 0, 1)),
    "late money": (
        lambda shop, held: (let_lapse(shop, held), reacquire(shop.engine, held.key, 1)),
        (7, 0, 3),
        (8, 0, 2),
    ),
}
"""Each life of a reservation of two adults and a child, and where places of slot and adults are then."""


@pytest.mark.parametrize("life", LIVES)
def test_rule_18_the_whole_life_of_a_reservation_keeps_the_sums(tour: Tour, life: str) -> None:
    """Rule 18: available + held + sold = partner + counted, of the slot and of every pax type, wherever it goes."""
    step, whole, adults = LIVES[life]
    held = tour.shop.cart("ann", places(adult=2, child=1))
    step(tour.shop, held)
    assert tour.count() == whole
    assert tour.count(ADULT) == adults
    tour.shop.audit()


@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
@pytest.mark.parametrize("life", LIVES)
def test_rule_08_a_trouble_at_any_write_of_its_life_loses_no_place(
    tour: Tour, calls: Calls, life: str, trouble: str
) -> None:
    """Rules 7 and 8: a conflict, a throttle, a crash or a lost answer at each transaction: the sums stand."""
    shop, step = tour.shop, LIVES[life][0]
    for number in range(3):
        held = shop.cart("ann", places(adult=2, child=1))
        calls.clear()
        calls.trouble(EVERY_TROUBLE[trouble], "TransactWriteItems", skip=number)
        with suppress(Crash, Unavailable, ReservationOver):
            step(shop, held)
        calls.clear()
        shop.audit()
        stored = shop.stored(held.key)
        if stored.status == "held":
            cancel(shop.engine, held.key)
        elif stored.status == "checking_out":
            abandon(shop.engine, held.key, 1)
        elif stored.status == "confirmed":
            withdraw(shop.engine, held.key)
    assert is_free(tour)
    shop.audit()


@pytest.mark.parametrize("trouble", EVERY_TROUBLE)
def test_rule_08_a_trouble_at_the_hold_itself(tour: Tour, calls: Calls, trouble: str) -> None:
    """Rules 3 and 8: asked again with the same key, it is held once."""
    shop = tour.shop
    calls.trouble(EVERY_TROUBLE[trouble], "TransactWriteItems")
    with suppress(Crash, Unavailable):
        shop.cart("ann", places(adult=2, child=1), key="k")
    calls.clear()
    shop.cart("ann", places(adult=2, child=1), key="k")
    assert tour.count() == (7, 3, 0)
    shop.audit()


def test_rule_07_contention_without_end_is_busy_and_never_sold_out(tour: Tour, calls: Calls) -> None:
    """Rules 5 and 7: attempts used up answer 503; nothing is held, nothing is believed to be sold out."""
    for trouble in (conflict, throttled):
        calls.trouble(trouble, "TransactWriteItems", times=50)
        with pytest.raises(Busy):
            tour.shop.cart("ann", places(adult=1))
        calls.clear()
    assert tour.shop.cart("ann", places(adult=1)).status == "held"


def test_rule_16_holds_of_one_slot_expire_in_one_write_of_it(tour: Tour, calls: Calls) -> None:
    """Rule 16: the changes of a batch are netted, whichever pax types they are of."""
    shop = tour.shop
    held = [shop.cart(f"u{number}", places(adult=1, child=number % 2 + 1)) for number in range(4)]
    shop.clock.forward(LENGTH)
    calls.clear()
    left = expire(shop.engine, held)
    assert not left.busy | left.broken
    assert [len(call.written) for call in calls.transactions] == [5]
    assert is_free(tour)


def test_a_slot_that_has_not_what_a_reservation_says_is_never_given_back(tour: Tour) -> None:
    """A defect that must not spread: what would take `held` below zero is refused, and said so."""
    shop = tour.shop
    held = shop.cart("ann", places(adult=2))
    shop.store.write(Update(tour.key(), [SlotItem.held.set(1)]))
    with pytest.raises(InvariantBroken):
        cancel(shop.engine, held.key)
    assert shop.stored(held.key).status == "held"


def test_rule_15_of_what_is_bought_any_part_is_given_back(tour: Tour) -> None:
    """PROTOCOL.md 23: line by line, in parts, to the last; a second child is none of an adult's."""
    shop = tour.shop
    held = shop.cart("ann", places(adult=3, child=2))
    confirm(shop.engine, held.key)
    adult, child = held.lines
    for returned, left in [
        ([adult.of(1)], (6, 0, 4)),
        ([child.of(2)], (8, 0, 2)),
        ([adult.of(2)], (10, 0, 0)),
    ]:
        give_back(shop.engine, held.key, returned, lambda: False, State.REFUNDED)
        assert tour.count() == left
        shop.audit()
    assert shop.stored(held.key).status == "refunded"
    other = shop.cart("bob", places(adult=1))
    confirm(shop.engine, other.key)
    with pytest.raises(InvariantBroken):
        give_back(shop.engine, other.key, [child.of(1)], lambda: False, State.REFUNDED)
    assert tour.count() == (9, 0, 1)


def test_rule_15_pax_types_of_one_price_are_not_taken_for_each_other(shop: Shop) -> None:
    """PROTOCOL.md 23: what is given back of a child is the child's place, whatever else cost the same."""
    tour = Tour(shop)
    tour.says(offered(MORNING, 10, pax(ADULT, 10, price_minor=500), pax(CHILD, 10, price_minor=500)))
    held = shop.cart("ann", places(adult=1, child=2))
    confirm(shop.engine, held.key)
    give_back(shop.engine, held.key, [held.lines[1].of(1)], lambda: False, State.REFUNDED)
    assert [(line.pax_type, line.quantity) for line in shop.stored(held.key).lines] == [(ADULT, 1), (CHILD, 1)]
    assert (tour.count(ADULT), tour.count(CHILD)) == ((9, 0, 1), (9, 0, 1))
    shop.audit()


def test_rule_18_what_is_taken_back_is_counted_for_good(tour: Tour) -> None:
    """Rule 18: of a number that has our sales in it, those that were taken back since must not be taken for sold."""
    shop = tour.shop
    for number in range(2):
        held = shop.cart("ann", places(adult=2, child=1))
        cancel(shop.engine, shop.cart("bob", places(adult=1)).key)
        confirm(shop.engine, held.key)
        if number:
            withdraw(shop.engine, held.key)
        else:
            give_back(shop.engine, held.key, [held.lines[0].of(1)], lambda: False, State.REFUNDED)
    assert {name: counters.returned for name, counters in tour.counts().items()} == {"": 4, ADULT: 3, CHILD: 1}
    shop.audit()


def test_rule_14_late_money_takes_the_same_places_again(tour: Tour, calls: Calls) -> None:
    """Rule 14: at the price that was paid, whatever it is by now: one more read for the slot, one transaction."""
    shop = tour.shop
    late = expired(shop, places(adult=2, child=1))
    tour.says(offered(MORNING, 10, pax(ADULT, 10, price_minor=1, maximum=1), pax(CHILD, 10)))
    calls.clear()
    bought = reacquire(shop.engine, late.key, 1)
    assert calls.operations == ["GetItem", "BatchGetItem", "TransactWriteItems"]
    assert [line.unit_price_minor for line in bought.lines] == [PRICES[ADULT], PRICES[CHILD]]
    assert bought.allocated() == late.allocated()
    assert tour.count() == (7, 0, 3)
    assert reacquire(shop.engine, late.key, 1).v == bought.v
    shop.audit()


@pytest.mark.parametrize("why", ["slot short", "type short", "vanished", "type vanished", "begun"])
@pytest.mark.parametrize("is_meanwhile", [False, True])
def test_rule_14_late_money_for_what_is_gone_is_refused(tour: Tour, calls: Calls, why: str, is_meanwhile: bool) -> None:
    """Rule 14: taken by others, not offered any more or begun, before or right between: it goes back to who paid."""
    shop = tour.shop
    late = expired(shop, places(adult=2, child=1))
    shop.clock.forward(MIDNIGHT - shop.clock.now())
    happens: dict[str, Callable[[], object]] = {
        "slot short": lambda: shop.cart("bob", places(child=8)),
        "type short": lambda: tour.says(offered(MORNING, 10, pax(ADULT, 1), pax(CHILD, 10))),
        "vanished": lambda: tour.says(offered("other")),
        "type vanished": lambda: tour.says(offered(MORNING, 10, pax(ADULT, 10))),
        "begun": lambda: tour.says(offered(start="00:00")),
    }
    if is_meanwhile:
        calls.trouble(meanwhile(happens[why]), "TransactWriteItems")
    else:
        happens[why]()
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    assert shop.stored(late.key).status == "expired"
    assert tour.slot().whole.sold == 0
    shop.audit()


def test_rule_14_late_money_for_a_mixed_cart_is_whole_or_not_at_all(full: Tour) -> None:
    """Rule 14: a product whose shard has changed is drawn anew, the places stay the same."""
    shop = full.shop
    full.says(offered(currency="USD"))
    scattered = shop.product(units=[2, 2])
    late = expired(shop, units(scattered, 2), places(adult=2))
    shop.cart("bob", units(scattered, 2))
    bought = reacquire(shop.engine, late.key, 1)
    assert sum(bought.allocated().values()) == 4
    assert full.count() == (8, 0, 2)
    shop.audit()
    again = expired(shop, units("1", 2), places(adult=2), user="eve")
    shop.cart("bob", places(adult=7))
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, again.key, 1)
    assert shop.count("1") == (10, 0, 0)


def test_rule_18_nothing_is_oversold_when_the_partner_has_fewer_than_are_held(tour: Tour) -> None:
    """Rule 18: available is negative then: new holds stop, existing ones are flagged, and can be bought still."""
    shop = tour.shop
    held, other = shop.cart("ann", places(adult=4)), shop.cart("bob", places(child=2))
    assert short(shop.store, [held, other]) == frozenset()
    tour.says(offered(MORNING, 5, pax(ADULT, 5), pax(CHILD, 5)))
    assert tour.counts() == {
        "": Counters(-1, 6, 0, 5, 0),
        ADULT: Counters(1, 4, 0, 5, 0),
        CHILD: Counters(3, 2, 0, 5, 0),
    }
    assert tour.slot().missing == 1
    assert refusal(lambda: shop.cart("eve", places(adult=1))) == [("items.0", "insufficient_stock")]
    assert short(shop.store, [held, other]) == frozenset({*held.allocated(), *other.allocated()})
    assert confirm(shop.engine, held.key).status == "confirmed"
    assert tour.counts()[""] == Counters(-1, 2, 4, 5, 0)
    cancel(shop.engine, other.key)
    assert tour.counts()[""] == Counters(1, 0, 4, 5, 0)
    assert short(shop.store, [shop.stored(held.key), shop.stored(other.key)]) == frozenset()
    shop.clock.forward(1_000)
    assert shop.cart("eve", places(adult=1)).status == "held"
    shop.audit()


def test_rule_18_only_the_pax_type_that_falls_short_is_flagged(tour: Tour, calls: Calls) -> None:
    """Of a slot with enough places, whoever has a pax type with too few is flagged, nobody else; in one request."""
    shop = tour.shop
    adults, child = shop.cart("ann", places(adult=4)), shop.cart("bob", places(child=1))
    both = shop.cart("cat", places(adult=1, child=1))
    tour.says(offered(MORNING, 10, pax(ADULT, 2), pax(CHILD, 5)))
    calls.clear()
    found = short(shop.store, [adults, child, both])
    assert calls.operations == ["BatchGetItem"]
    assert {name.rpartition("/")[2] for name in found} == {ADULT}
    assert refusal(lambda: shop.cart("eve", places(adult=1))) == [("items.0", "insufficient_stock")]
    assert shop.cart("eve", places(child=1)).status == "held"
    let_lapse(shop, adults)
    over = shop.stored(adults.key)
    calls.clear()
    assert short(shop.store, [over]) == frozenset()
    assert calls.operations == []


def test_rule_18_late_money_for_a_slot_that_falls_short_is_refused(tour: Tour) -> None:
    """Rule 18: what is sold anew is never more than the partner has left."""
    shop = tour.shop
    late = expired(shop, places(adult=2))
    shop.cart("bob", places(adult=8))
    tour.says(offered(MORNING, 9))
    with pytest.raises(HoldTaken):
        reacquire(shop.engine, late.key, 1)
    tour.says(offered(MORNING, 10))
    assert reacquire(shop.engine, late.key, 1).status == "confirmed"
    shop.audit()


def test_rule_18_sales_that_the_partner_counts_itself_are_not_counted_twice(shop: Shop) -> None:
    """Rule 18: a partner whose number has our sales in it: what was sold before it was asked is in there."""
    tour = Tour(shop, contains_our_sales=True)
    tour.says(offered())
    confirm(shop.engine, shop.cart("ann", places(adult=3)).key)
    shop.cart("bob", places(child=1))
    tour.says(offered(MORNING, 7, pax(ADULT, 7), pax(CHILD, 10)))
    assert tour.counts()[""] == Counters(6, 1, 3, 7, 3)
    assert shop.cart("eve", places(child=6)).status == "held"
    assert refusal(lambda: shop.cart("eve", places(child=1))) == [("items.0", "insufficient_stock")]
    shop.audit()


def test_rule_18_other_tenants_have_slots_of_their_own(store: Store) -> None:
    """DESIGN.md, invariant 6: the same ids of another tenant are another slot."""
    first, second = Shop(store), Shop(store, tenant="other")
    Tour(first).says(offered())
    assert refusal(lambda: second.cart("ann", places(adult=1))) == [("items.0", "slot_not_found")]
    Tour(second).says(offered(MORNING, 1))
    first.cart("ann", places(adult=2))
    assert refusal(lambda: second.cart("ann", places(adult=2))) == [("items.0", "insufficient_stock")]
