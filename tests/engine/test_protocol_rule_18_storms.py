"""PROTOCOL.md's rule 18 in a storm of buyers at one slot (see `storm`), with its partner asked all the while."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from holdfast.claims.slot import HELD, SOLD
from holdfast.reservations.ending import confirm
from holdfast.reservations.slot_places import short
from tests.engine.faults import Answer, Call
from tests.engine.shop import seat, units
from tests.engine.storm import CLIENTS, HOLD_SECONDS, Client, Storm
from tests.engine.tours import ADULT, CHILD, MORNING, Tour, offered, pax, places

A_HOLD_LATER = HOLD_SECONDS * 1_000 / CLIENTS
"""Milliseconds between two buyers, so that a hold lapses within as many buyers as there are clients."""

ASKING = 2
"""Clients that ask the partner, where any do."""


def buyer(pays: float, most: int) -> Callable[[Client], None]:
    """Return how somebody buys up to so many places of each of one pax type or both."""

    def behave(client: Client) -> None:
        types = client.chance.choice([["adult"], ["child"], ["adult", "child"]])
        client.buyer(pays, places(**{name: client.chance.randint(1, most) for name in types}))

    return behave


def sell_out(storm: Storm) -> None:
    """Let everybody ask for single places until none is left."""
    storm.let_everything_lapse()
    for _ in range(2):
        storm.run(CLIENTS, lambda client: client.buyer(1.0, places(adult=1)))
        storm.run(CLIENTS, lambda client: client.buyer(1.0, places(child=1)))
    storm.let_everything_lapse()


@pytest.mark.slow
@pytest.mark.parametrize("pays", [1.0, 0.3])
def test_rule_18_64_clients_for_the_last_places(start: Callable[[int], Storm], pays: float) -> None:
    """Thirty places, for twelve adults and twenty-five children at most: neither limit is passed, and all are sold."""
    storm = start(18)
    tour = Tour(storm.shop)
    tour.says(offered(MORNING, 30, pax(ADULT, 12), pax(CHILD, 25)))
    storm.run(600, buyer(pays, 3), A_HOLD_LATER)
    storm.shop.audit()
    assert storm.tally("held") > 0
    sell_out(storm)
    storm.shop.audit()
    assert tour.count() == (0, 0, 30)
    assert tour.count(ADULT)[2] <= 12
    assert tour.count(CHILD)[2] <= 25


@pytest.mark.slow
def test_rule_18_64_clients_for_one_place(start: Callable[[int], Storm]) -> None:
    """One place, whichever type: it is sold exactly once."""
    storm = start(19)
    tour = Tour(storm.shop)
    tour.says(offered(MORNING, 1))
    storm.run(500, buyer(0.3, 1), A_HOLD_LATER)
    sell_out(storm)
    storm.shop.audit()
    assert tour.count() == (0, 0, 1)
    assert storm.tally("paid") == 1


@pytest.mark.slow
def test_rule_18_64_clients_for_mixed_carts(start: Callable[[int], Storm]) -> None:
    """A product, a seat and places of a slot: whichever runs out first, no cart is held in part."""
    storm = start(20)
    tour = Tour(storm.shop)
    tour.says(offered(MORNING, 40, currency="USD"))
    storm.shop.seats({"A": 30})
    product = storm.shop.product(units=50, shards=2)

    def behave(client: Client) -> None:
        number = client.chance.randint(1, 30)
        client.buyer(0.4, units(product), seat("A", number), places(adult=1, child=client.chance.randint(1, 2)))

    storm.run(300, behave, A_HOLD_LATER)
    storm.shop.audit()
    assert storm.tally("held") > 0
    storm.let_everything_lapse()
    storm.shop.audit()
    bought = [record for record in storm.shop.reservations() if record.status == "confirmed"]
    assert len(bought) == storm.tally("paid") > 0
    assert storm.shop.count(product)[2] == len(bought)
    assert tour.count()[1:] == (0, sum(line.quantity for record in bought for line in record.lines[2:]))


@contextmanager
def synchronised(storm: Storm, *news: int) -> Iterator[set[str]]:
    """Have the partner asked twice at a time while the block runs; it says one number of places after the other.

    Yields the names of the attributes that what it said was written to, none of which is to be of holds or sales.
    """
    over = threading.Event()
    named: set[str] = set()
    asked = [0] * ASKING

    def ask(number: int, client: Client) -> None:
        client.calls.always(lambda call: watched(client, call))
        tour = Tour(client.shop)
        while not over.wait(0.01):
            said = offered(MORNING, news[(number + asked[number]) % len(news)])
            client.insist(partial(tour.says, said))
            asked[number] += 1

    def watched(client: Client, call: Call) -> Answer:
        named.update(name for _, arguments in call.writes for name in _changed(arguments))
        return client.weather(call)

    asking, buying = storm.clients[:ASKING], storm.clients[ASKING:]
    threads = [threading.Thread(target=ask, args=each) for each in enumerate(asking)]
    storm.clients = buying
    for thread in threads:
        thread.start()
    try:
        yield named
    finally:
        over.set()
        for thread in threads:
            thread.join()
        storm.clients = [*asking, *buying]
    assert min(asked) > 1, "the partner was asked all the while"


def _changed(arguments: Answer) -> list[str]:
    """Return the attributes that an update names in what it changes; none where it is no update."""
    names = arguments.get("ExpressionAttributeNames", {})
    return [names[placeholder] for placeholder in re.findall(r"#\d+", arguments.get("UpdateExpression", ""))]


def wait_until_it_says(tour: Tour, number: int) -> None:
    """Wait until what the partner says by now is taken in."""
    for _ in range(1_000):
        if tour.counts()[""].partner == number:
            return
        time.sleep(0.01)
    raise AssertionError("what the partner says is not taken in")


def assert_no_hold_and_no_sale(named: set[str]) -> None:
    """Check that what a partner said was written, and to nothing that is ours."""
    assert {"available", "partner", f"partner#{ADULT}"} <= named
    assert not [name for name in named if name.startswith((HELD, SOLD))]


@pytest.mark.slow
def test_rule_18_a_sync_in_a_storm_of_holds_changes_no_hold_and_no_sale(start: Callable[[int], Storm]) -> None:
    """Rule 18: the partner's number goes up and down meanwhile; held and sold are what buyers made of them, exactly."""
    storm = start(21)
    tour = Tour(storm.shop)
    tour.says(offered(MORNING, 30))
    with synchronised(storm, 30, 45, 20, 38) as named:
        storm.run(500, buyer(0.2, 3), A_HOLD_LATER)
    assert_no_hold_and_no_sale(named)
    storm.shop.audit()
    assert storm.tally("held") > 0
    _, held, sold = tour.count()
    assert 0 < held + sold <= 45
    storm.let_everything_lapse()
    tour.says(offered(MORNING, 60))
    sell_out(storm)
    storm.shop.audit()
    assert tour.count() == (0, 0, 60)


@pytest.mark.slow
def test_rule_18_nothing_is_oversold_when_the_partners_number_drops_in_a_storm(start: Callable[[int], Storm]) -> None:
    """Rule 18: fewer than are held: new holds stop at once; those that stand are flagged, and bought all the same."""
    storm = start(22)
    tour = Tour(storm.shop)
    tour.says(offered(MORNING, 60))
    early = [storm.shop.cart(f"early{number}", places(adult=2, child=2)) for number in range(5)]
    storm.run(100, buyer(0.5, 2), 0)
    with synchronised(storm, 15) as named:
        storm.run(300, buyer(0.5, 2), 0)
        wait_until_it_says(tour, 15)
        records, known = storm.shop.reservations(), tour.count()
        storm.run(300, buyer(0.5, 2), 0)
    assert_no_hold_and_no_sale(named)
    assert len(storm.shop.reservations()) == len(records), "nobody held anything more"
    available, still_held, sold = tour.count()
    assert available == 15 - still_held - sold < 0
    assert still_held + sold <= known[1] + known[2]
    assert tour.slot().missing == -available
    storm.shop.audit()

    records = [record for record in storm.shop.reservations() if record.status in ("held", "confirmed")]
    assert {record.key for record in early} <= {record.key for record in records}
    assert short(storm.shop.store, records) == {name for record in records for name in record.allocated()}
    for record in early:
        assert confirm(storm.shop.engine, record.key).status == "confirmed"
    assert tour.count() == (available, still_held - 20, sold + 20)
    storm.let_everything_lapse()
    storm.shop.audit()
    assert tour.count()[1:] == (0, sold + 20)
