"""Properties of splitting holds of seats and counted tickets: nothing is lost, doubled or mixed up (PROTOCOL.md 15)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform.dynamodb import Put, key_written
from holdfast.platform.errors import InvariantBroken
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.tables import Keys, claim_name, due_bucket, pool_allocated
from holdfast.reservations import splitting
from holdfast.reservations.splitting import Part

KEYS = Keys("demo")
CHILD = KEYS.reservation("ann", "checkout", "k")
SEATS = st.integers(1, 9).map(str)
COUNTED = st.tuples(st.sampled_from(["2", "20", "3"]), st.lists(st.integers(1, 5), min_size=1, max_size=3))
HELD = st.lists(st.one_of(SEATS, COUNTED), min_size=1, max_size=6, unique_by=lambda wish: wish[0])


def line(**more: Any) -> LineMap:
    """Return a line of the event."""
    said: dict[str, Any] = {"quantity": 1, "unit_price_minor": 5, "currency": "USD", "counted": True, "event_id": "1"}
    return LineMap(**said | more)


def hold(number: int, wishes: Sequence[Any]) -> ReservationItem:
    """Return a reservation: a text is a seat of that row, a pair a counted type and its units by shard."""
    lines: list[LineMap] = []
    allocation: dict[str, int] = {}
    units: list[str] = []
    for wish in wishes:
        if isinstance(wish, str):
            lines.append(line(kind="seat", ticket_type_id="1", row=wish, seat=str(number)))
            units.append(claim_name(KEYS.seat("1", "1", 0, wish, str(number))))
        else:
            ticket_type, drawn = wish
            lines.append(line(kind="ticket", ticket_type_id=ticket_type, quantity=sum(drawn)))
            allocation |= {f"ticket.1.{ticket_type}#{shard:02d}": here for shard, here in enumerate(drawn)}
    used: dict[str, Any] = {"extended_by": "request", "checkout_until": 99} if number == 1 else {}
    return ReservationItem(
        *KEYS.reservation("ann", "tickets", f"k{number}"),
        user_id="ann",
        status="held",
        v=7,
        lines=lines,
        allocation=allocation,
        units=units or None,
        source="tickets",
        body_hash="hash",
        created_at=number,
        expires_at=90 + number,
        first_expires_at=80 + number,
        due=90 + number,
        due_bucket=3,
        **used,
    )


def things(record: ReservationItem) -> Counter[tuple[str, str | None, str | None]]:
    """Return how many a reservation's lines say it has of each thing."""
    found: Counter[tuple[str, str | None, str | None]] = Counter()
    for one in record.lines:
        found[one.ticket_type_id or "", one.row, one.seat] += one.quantity
    return found


def agrees(record: ReservationItem) -> None:
    """Check that what a reservation claims is what its lines say."""
    drawn: Counter[str] = Counter()
    for name, units in record.allocated().items():
        assert units > 0
        drawn[pool_allocated(name)] += units
    assert drawn == {one.pool: one.quantity for one in record.lines if one.kind == "ticket"}
    named = [claim_name(KEYS.seat("1", "1", 0, one.row, one.seat)) for one in record.lines if one.kind == "seat"]
    assert list(record.units or ()) == named


@given(st.lists(HELD, min_size=1, max_size=3), st.data())
def test_parts_and_rests_are_the_whole(wishes: list[list[Any]], data: st.DataObject) -> None:
    """Every seat and every unit is the child's or stays its parent's, whatever was taken of how many holds."""
    parents = [hold(number, one) for number, one in enumerate(wishes)]
    parts = [Part(one, [data.draw(st.integers(0, each.quantity)) for each in one.lines]) for one in parents]
    parts = [part for part in parts if any(part.quantities)]
    if not parts:
        return
    child = splitting.child_of(parts, CHILD, "tickets")
    *written, last = splitting.splitting(parts, child, now=1_000)
    assert isinstance(last, Put)
    assert last.item is child
    whole, left = Counter[Any](), Counter[Any]()
    for part, write in zip(parts, written, strict=True):
        assert isinstance(write, Put)
        rest = write.item
        assert isinstance(rest, ReservationItem)
        assert (rest.key, rest.v, rest.source, rest.body_hash) == (part.parent.key, 8, "tickets", "hash")
        assert (rest.expires_at, rest.first_expires_at) == (part.parent.expires_at, part.parent.first_expires_at)
        whole += things(part.parent)
        if part.rest:
            assert (rest.status, rest.due) == ("held", part.parent.due)
            assert rest.ttl is None
            left += things(rest)
            agrees(rest)
        else:
            assert (rest.status, rest.allocated(), rest.units or []) == ("cancelled", {}, [])
            assert rest.due is None
            assert rest.ttl is not None
            assert things(rest) == things(part.parent)
    assert things(child) + left == whole
    assert (child.status, child.source) == ("held", "tickets")
    assert child.body_hash is None
    ends = min(part.parent.expires_at for part in parts)
    assert (child.expires_at, child.due, child.due_bucket) == (ends, ends, due_bucket(CHILD))
    used = [part.parent for part in parts if part.parent.extended_by]
    assert (child.extended_by, child.checkout_until) == (("request", 99) if used else (None, None))
    units = sum(child.allocated().values())
    assert units == sum(one.quantity for one in child.lines if one.kind == "ticket")
    assert len(child.units or ()) == len(set(child.units or ())) == sum(one.kind == "seat" for one in child.lines)
    handed = [key_written(write) for write in splitting.handing_over(parts, child)]
    assert handed == [KEYS.claimed(name) for name in child.units or ()]


@given(st.integers(1, 5))
def test_a_hold_that_says_more_than_was_drawn_is_never_split(missing: int) -> None:
    """Lines and allocation that do not agree are a defect, and nothing is sold on top of it."""
    parent = hold(1, [("2", [5])])
    parent.allocation = {"ticket.1.2#00": 5 - missing, "ticket.1.20#00": 5}
    with pytest.raises(InvariantBroken):
        splitting.child_of([Part(parent, [5])], CHILD, None)
