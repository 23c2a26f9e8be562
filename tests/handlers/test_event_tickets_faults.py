"""The faults of the older ticket shop that must not come back, each a test of its own name (WIRE.md, section 2).

Three of them are of things that there are not yet, and their tests come with those: a waiting queue that is filled and
never drained (the waiting room), a captcha check that can be bypassed by omitting the token (captcha for tenants that
demand it; until then no tenant does, and the token is not looked at), and no payment step (payment by provider).
"""

from typing import Any

import pytest

from holdfast.catalogue.events import blocks
from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.items import UnitItem
from holdfast.platform.tables import Keys
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.box_office import VIP, check_out, general, left, name, new_event, reserve, seats
from tests.handlers.gateway import Api, LambdaContext, load


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function read and write one block at a time, as moto needs it."""
    monkeypatch.setattr(blocks, "THREADS", 1)


def test_locks_that_carry_no_owner(api: Api, aws: Aws) -> None:
    """Nobody checks out another's seats, and not even a part of what both of them hold."""
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)), general(2))
    reserve(api, "bob", event, seats((1, 3)))
    before = aws.dump()
    for details in ([seats((1, 1))], [seats((1, 1), (1, 2)), general(2)], [seats((1, 3), (1, 1))], [general(1)]):
        answer = check_out(api, "bob", event, *details)
        assert (answer.status, answer.code) == (409, "not_held")
    assert aws.dump() == before
    assert check_out(api, "alice", event, seats((1, 1), (1, 2)), general(2)).status == 200


def test_locks_that_carry_no_owner_among_customers(api: Api) -> None:
    event = new_event(api)
    reserve(api.as_user("alice"), "alice", event, seats((1, 1)))
    assert check_out(api.as_user("bob"), "bob", event, seats((1, 1))).status == 409
    assert check_out(api.as_user("bob"), "alice", event, seats((1, 1))).status == 403


def test_partial_locks_kept_until_they_time_out(api: Api, aws: Aws) -> None:
    """A refused request leaves nothing held: everything else in it can be had at once."""
    event = new_event(api, general=2)
    reserve(api, "alice", event, seats((1, 2)))
    before = aws.dump()
    refused = reserve(api, "bob", event, seats((1, 1), (1, 2), (1, 3)), general(2))
    assert (refused.status, refused.json["lockedSeats"]["lockedSeats"]) == (409, [])
    assert refused.json["lockedSeats"]["unavailableSeats"] == [name(event, 1, 2)]
    assert aws.dump() == before
    assert reserve(api, "carol", event, seats((1, 1), (1, 3)), general(2)).status == 200


@pytest.mark.parametrize("bought", [[(1, 1), (1, 2)], [(1, 1)]], ids=["all", "a part"])
def test_a_500_where_a_seat_is_no_longer_held_because_its_time_ran_out(
    api: Api, clock: HandMovedClock, bought: list[Any]
) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    clock.milliseconds += 600_000 - 1
    assert reserve(api, "bob", event, seats((1, 1))).code == "seat_taken"
    clock.milliseconds += 1
    answer = check_out(api, "alice", event, seats(*bought))
    assert (answer.status, answer.code) == (409, "not_held")
    assert left(api, event) == (set(), 50)


def test_a_500_where_a_seat_is_no_longer_held_because_another_took_it(api: Api, clock: HandMovedClock) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    clock.advance(600)
    assert reserve(api, "bob", event, seats((1, 1))).status == 200
    answer = check_out(api, "alice", event, seats((1, 1), (1, 2)))
    assert (answer.status, answer.code) == (409, "not_held")
    assert check_out(api, "bob", event, seats((1, 1))).status == 200
    assert left(api, event) == ({"1/1:booked"}, 50)


@pytest.mark.parametrize("bought", [[(1, 1), (1, 2)], [(1, 1)]], ids=["all", "a part"])
def test_a_500_where_a_seat_is_no_longer_held_though_the_reservation_says_so(
    api: Api, store: Store, bought: list[Any]
) -> None:
    """Somebody whose clock is ahead took the seat over within the last moment of the hold."""
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)))
    key = Keys(api.tenant).seat(event, VIP, 0, "1", "1")
    store.write(Update(key, [UnitItem.holder.set("r-another")]))
    answer = check_out(api, "alice", event, seats(*bought))
    assert (answer.status, answer.faults()) == (409, {"seatDetails.0.metaData.seatNumbers.0": "not_held"})


def test_a_500_where_a_seat_is_no_longer_held_because_it_was_let_go(api: Api) -> None:
    event = new_event(api)
    held = reserve(api, "alice", event, seats((1, 1)), general(1)).json["reservationId"]
    assert api.delete(f"/api/v1/reservations/{held}").status == 200
    assert check_out(api, "alice", event, seats((1, 1)), general(1)).code == "not_held"
    assert left(api, event) == (set(), 50)


def test_a_500_where_a_seat_is_no_longer_held_after_the_sweeper_came(api: Api, clock: HandMovedClock) -> None:
    event = new_event(api)
    reserve(api, "alice", event, seats((1, 1), (1, 2)), general(3))
    assert check_out(api, "alice", event, seats((1, 1)), general(1)).status == 200
    clock.advance(606)
    load("sweeper").handler({}, LambdaContext())
    assert check_out(api, "alice", event, seats((1, 2)), general(2)).code == "not_held"
    assert left(api, event) == ({"1/1:booked"}, 49)
