"""Bookings of halls on DynamoDB Local: one a request, one a time, whatever breaks off or comes between."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from holdfast.catalogue.halls import booking_endings, booking_pages, bookings, venues
from holdfast.catalogue.halls.booking_pages import Filters
from holdfast.catalogue.halls.booking_views import Booking, Customer
from holdfast.catalogue.halls.bookings import Wish
from holdfast.catalogue.halls.lines import VenueRoom
from holdfast.catalogue.halls.settings import DAY, HOUR, VenueSettings
from holdfast.catalogue.halls.states import BookingState, PaymentState
from holdfast.catalogue.halls.venues import NewVenue
from holdfast.checkout import opening
from holdfast.checkout.cashier import Cashier
from holdfast.checkout.opening import PaymentChoice
from holdfast.claims.span import Span, days_of
from holdfast.platform.dynamodb import Delete
from holdfast.platform.errors import (
    AmountMismatch,
    BookingOver,
    HoldfastError,
    IdempotencyKeyReused,
    Refused,
    ReservationOver,
)
from holdfast.platform.items import BookingItem, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.tables import key_of, tenant_of
from holdfast.reservations.engine import LineRequest
from holdfast.reservations.holding import HoldRequest, hold
from holdfast.reservations.idempotency import KeyedRequest, hash_of
from tests.engine.faults import (
    Call,
    Calls,
    Crash,
    conflict,
    crash_after,
    crash_before,
    meanwhile,
    silence_after,
    throttled,
)
from tests.engine.shop import START, Shop

EVENING = Span(START + 30 * DAY, START + 30 * DAY + 4 * HOUR)
HALL = NewVenue("Parkside", "Here", 9, 50_000, "EUR", "UTC", None, VenueSettings())


@pytest.fixture(autouse=True)
def _hall(shop: Shop) -> None:
    venues.create(shop.engine, shop.tenant, HALL, None)


def wish(shop: Shop, key: str = "k", span: Span = EVENING, user: str = "alice", **more: Any) -> Wish:
    venue = venues.get(shop.engine, shop.tenant, "1")
    keyed = KeyedRequest(shop.tenant, "key-1", "bookings", key, hash_of([span, user, more.get("guest_count")]))
    return Wish(keyed, venue, span, Customer(user), **more)


def book(shop: Shop, key: str = "k", **more: Any) -> Booking:
    """Do what the function does: look for an earlier answer, then book."""
    wanted = wish(shop, key, **more)
    return bookings.replayed(shop.engine, wanted.keyed) or bookings.book(shop.engine, wanted)


def stored(shop: Shop) -> list[BookingItem]:
    return [BookingItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.bookings()).items]


def till(shop: Shop) -> Cashier:
    return Cashier(shop.engine, shop.machines.checkout, shop.machines.refund, "key-1")


def confirm(shop: Shop, booking: Booking, keyed: KeyedRequest | None = None) -> Booking:
    return booking_endings.confirm(shop.engine, shop.tenant, booking.id, till(shop), keyed)


def cancel(shop: Shop, booking: Booking, keyed: KeyedRequest | None = None) -> Booking:
    return booking_endings.cancel(shop.engine, shop.tenant, booking.id, None, till(shop), keyed)


def find(shop: Shop, booking: Booking) -> Booking:
    return bookings.find(shop.engine, shop.tenant, booking.id, None)


def test_of_many_for_one_evening_one_gets_it_and_numbers_are_their_own(shop: Shop) -> None:
    def try_to(number: int) -> str | None:
        try:
            return book(shop.another(), f"k{number}", user=f"user{number}").number
        except Refused:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [number for number in pool.map(try_to, range(24)) if number]
    assert len(won) == len(stored(shop)) == 1
    nights = [Span(EVENING.start + night * DAY, EVENING.end + night * DAY) for night in range(1, 13)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda span: book(shop.another(), f"{span}", span=span).number, nights))
    assert len({*won, *made}) == 13


@pytest.mark.parametrize("crash", [crash_before, crash_after])
def test_a_crash_at_any_step_and_the_request_again_make_one_booking(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, Any]]
) -> None:
    wanted = wish(shop)
    calls.clear()
    bookings.book(shop.engine, wanted)
    for step in range(len(calls.made)):
        night = Span(EVENING.start + (step + 1) * DAY, EVENING.end + (step + 1) * DAY)
        wanted = wish(shop, f"k{step}", night)
        calls.clear()
        calls.trouble(crash, skip=step)
        with pytest.raises(Crash):
            bookings.book(shop.engine, wanted)
        calls.clear()
        made = book(shop, f"k{step}", span=night)
        assert book(shop, f"k{step}", span=night) == made
        assert [item.number for item in stored(shop) if item.start == night.start] == [made.number]


@pytest.mark.parametrize("weather", [conflict, throttled, silence_after])
def test_trouble_at_any_step_makes_one_booking(
    shop: Shop, calls: Calls, weather: Callable[[Call], dict[str, Any]]
) -> None:
    wanted = wish(shop)
    calls.clear()
    bookings.book(shop.engine, wanted)
    for step in range(len(calls.made)):
        night = Span(EVENING.start + (step + 1) * DAY, EVENING.end + (step + 1) * DAY)
        wanted = wish(shop, f"k{step}", night)
        calls.clear()
        calls.trouble(weather, skip=step)
        try:
            made = bookings.book(shop.engine, wanted)
        except HoldfastError:
            made = book(shop, f"k{step}", span=night)
        assert [item.number for item in stored(shop) if item.start == night.start] == [made.number]


def test_a_twin_in_flight_gets_the_same_booking(shop: Shop, calls: Calls) -> None:
    made: list[Booking] = []
    calls.trouble(meanwhile(lambda: made.append(book(shop))), "TransactWriteItems")
    assert bookings.book(shop.engine, wish(shop)) == made[0]
    assert len(stored(shop)) == 1


@pytest.mark.parametrize("nights", [0, 1])
def test_a_twin_in_flight_for_another_customer_is_422(shop: Shop, calls: Calls, nights: int) -> None:
    """Rule 3: the key is its sender's, whoever the booking is for, and bodies are compared at every moment."""
    calls.trouble(meanwhile(lambda: book(shop)), "TransactWriteItems")
    span = Span(EVENING.start + nights * DAY, EVENING.end + nights * DAY)
    with pytest.raises(IdempotencyKeyReused):
        bookings.book(shop.engine, wish(shop, span=span, user="bob"))
    assert [item.user_id for item in stored(shop)] == ["alice"]


def test_a_booking_as_old_as_its_record_is_still_found_by_its_key(shop: Shop) -> None:
    """Rule 3: keys live as long as the record: the reservation remembers after the quicker record is gone."""
    made = book(shop)
    confirm(shop, made)
    for raw in shop.store.query(shop.keys.user("key-1"), "K#").items:
        shop.store.write(Delete(key_of(raw)))
    assert bookings.replayed(shop.engine, wish(shop).keyed) is None
    assert bookings.book(shop.engine, wish(shop)) == made
    with pytest.raises(IdempotencyKeyReused):
        book(shop, guest_count=5)
    assert len(stored(shop)) == 1


@pytest.mark.parametrize("nights", [0, 1])
def test_a_key_that_is_used_again_once_all_is_forgotten_brings_no_old_booking_back(shop: Shop, nights: int) -> None:
    """What TTL leaves of an old booking is not shown as the new one that the same key makes."""
    old = book(shop)
    cancel(shop, old)
    for user in ("key-1", "alice"):
        for raw in shop.store.query(shop.keys.user(user)).items:
            shop.store.write(Delete(key_of(raw)))
    shop.clock.forward(DAY)
    new = book(shop, span=Span(EVENING.start + nights * DAY, EVENING.end + nights * DAY))
    assert new.id == old.id
    assert len(stored(shop)) == 1 + nights
    for reader in (None, "alice"):
        assert booking_pages.list_of(shop.engine, shop.tenant, Filters(reader), 1, 10).entries == [new]


def test_a_price_that_changes_while_a_booking_is_under_way_is_never_believed(shop: Shop, calls: Calls) -> None:
    """The price is that of the moment the days are read; a client who believes another is refused, nothing held."""
    wanted = wish(shop, total_minor=50_000)

    def reprice() -> None:
        venues.change(shop.engine, shop.tenant, "1", lambda _: {"base_price_minor": 60_000})

    calls.trouble(meanwhile(reprice), "BatchGetItem")
    with pytest.raises(AmountMismatch):
        bookings.book(shop.engine, wanted)
    assert stored(shop) == []
    assert shop.store.query(shop.keys.days("1")).items == []
    assert book(shop, "k2", total_minor=60_000).total_minor == 60_000


def test_a_twin_in_flight_is_answered_whatever_became_of_its_booking_and_the_price(shop: Shop, calls: Calls) -> None:
    wanted = wish(shop, total_minor=50_000)
    made: list[Booking] = []

    def happen() -> None:
        made.append(book(shop, total_minor=50_000))
        cancel(shop, made[0])
        venues.change(shop.engine, shop.tenant, "1", lambda _: {"base_price_minor": 60_000})

    calls.trouble(meanwhile(happen), "BatchGetItem")
    assert bookings.book(shop.engine, wanted) == made[0]
    assert len(stored(shop)) == 1


def test_all_of_a_booking_is_written_in_one_transaction(shop: Shop, calls: Calls) -> None:
    calls.clear()
    made = book(shop)
    [transaction] = calls.transactions
    kinds = {pk.removeprefix(f"{shop.tenant}#").partition("#")[0] + "/" + sk[:2] for pk, sk in transaction.written}
    assert kinds == {"U/R#", "BOOKINGS/" + f"{EVENING.start:015d}"[:2], "U/B#", "U/K#", "DAY/20"}
    assert made.expires_at - made.created_at == 600_000
    record = shop.store.query(shop.keys.user("alice"), "R#").items[0]
    assert tenant_of(ReservationItem.from_raw_data(record).key) == shop.tenant


def test_a_line_of_a_hall_costs_one_read_and_one_transaction(shop: Shop, calls: Calls) -> None:
    """The venue and all days that its turnaround could touch are read at once; only what is touched is written."""
    venues.change(
        shop.engine,
        shop.tenant,
        "1",
        lambda _: {"settings": VenueSettings(turnaround_before_minutes=60 * 23).model_dump_json()},
    )
    calls.clear()
    line = LineRequest("venue", "items.0", venue_id="1", start=EVENING.start, end=EVENING.end)
    request = HoldRequest(shop.tenant, "alice", "reservations", "k", "hash", [line])
    hold(shop.engine, lambda _: VenueRoom(), request)
    assert calls.operations == ["BatchGetItem", "TransactWriteItems"]
    assert [sk for _, sk in calls.transactions[0].written[1:]] == days_of(Span(EVENING.start - 23 * HOUR, EVENING.end))


def test_a_cancellation_that_meets_a_confirmation_takes_the_confirmed_booking_back(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    calls.trouble(meanwhile(lambda: confirm(shop, made)), "TransactWriteItems")
    cancelled = cancel(shop, made)
    assert (cancelled.state, cancelled.refund_percent) == (BookingState.CANCELLED, 100)
    assert book(shop, "k2", user="bob").state is BookingState.TEMP_HOLD


def test_a_confirmation_that_meets_a_cancellation_is_refused(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    calls.trouble(meanwhile(lambda: cancel(shop, made)), "TransactWriteItems")
    with pytest.raises(BookingOver):
        confirm(shop, made)
    assert find(shop, made).state is BookingState.CANCELLED


@pytest.mark.parametrize("crash", [crash_before, crash_after])
def test_a_crash_at_any_step_of_a_cancellation_settles_the_refund_once(
    shop: Shop, calls: Calls, crash: Callable[[Call], dict[str, Any]]
) -> None:
    made = book(shop)
    confirm(shop, made)
    calls.clear()
    cancel(shop, made)
    steps = len(calls.made)
    for step in range(steps):
        made = book(shop, f"k{step}")
        confirm(shop, made)
        calls.clear()
        calls.trouble(crash, skip=step)
        with suppress(Crash):
            cancel(shop, made)
        calls.clear()
        settled = find(shop, made)
        assert (settled.state is BookingState.CANCELLED) == (settled.refund_percent is not None)
        cancelled = cancel(shop, made)
        assert (cancelled.state, cancelled.refund_minor) == (BookingState.CANCELLED, 50_000)


def test_a_cancellation_that_meets_the_end_of_the_hold_is_refused(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    calls.clear()
    calls.trouble(meanwhile(lambda: shop.clock.forward(901_000)), "GetItem", skip=2)
    with pytest.raises(BookingOver):
        cancel(shop, made)
    assert find(shop, made).state is BookingState.EXPIRED


def stepping(shop: Shop, booking: Booking, step: str) -> Callable[[], Booking]:
    """Return a step of a booking, as one keyed request that can be sent again and again."""
    keyed = KeyedRequest(shop.tenant, "key-1", f"bookings/{booking.id}/{step}", "k", hash_of(None))
    if step == "confirm":
        return lambda: confirm(shop, booking, keyed)
    return lambda: cancel(shop, booking, keyed)


def test_a_twin_of_a_keyed_confirmation_is_answered_alike_whatever_became_of_it(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    confirming = stepping(shop, made, "confirm")
    first: list[Booking] = []

    def confirmed_and_cancelled() -> None:
        first.append(confirming())
        cancel(shop, made)

    calls.trouble(meanwhile(confirmed_and_cancelled), "TransactWriteItems")
    assert confirming() == first[0]
    assert (first[0].state, find(shop, made).state) == (BookingState.CONFIRMED, BookingState.CANCELLED)


@pytest.mark.parametrize("step", ["confirm", "cancel"])
@pytest.mark.parametrize("weather", [crash_before, crash_after, conflict, throttled, silence_after])
def test_trouble_at_any_call_of_a_keyed_step_leaves_one_answer(
    shop: Shop, calls: Calls, weather: Callable[[Call], dict[str, Any]], step: str
) -> None:
    """Rule 3: the answer is written with the step, so that no crash comes between."""
    made = book(shop)
    calls.clear()
    stepping(shop, made, step)()
    steps = len(calls.made)
    cancel(shop, made)
    for number in range(steps):
        shop.clock.forward(1_000)
        made = book(shop, f"k{number}")
        act = stepping(shop, made, step)
        calls.clear()
        calls.trouble(weather, skip=number)
        with suppress(Crash, HoldfastError):
            act()
        calls.clear()
        done = find(shop, made).state is not BookingState.TEMP_HOLD
        shop.clock.forward(1_000)
        answer = act()
        assert (answer.updated_at < shop.clock.now()) == done, "the first answer, if there was one"
        cancel(shop, made)
        assert act() == answer


def reservation(shop: Shop, booking: Booking) -> ReservationItem:
    return bookings.record_of(shop.engine, shop.tenant, booking.id, None)


def orders_of(shop: Shop) -> list[OrderItem]:
    return [OrderItem.from_raw_data(raw) for raw in shop.store.query(shop.keys.user("alice"), "O#").items]


def test_a_checkout_that_is_opened_right_before_staff_confirm_is_the_one_that_counts(shop: Shop, calls: Calls) -> None:
    """The order is there while its reservation is still held: there is never a second one, nor a second payment."""
    made = book(shop)
    opened: list[OrderItem] = []

    def opens() -> None:
        choice = PaymentChoice("sandbox", "tok_success")
        opened.append(opening.open_order(shop.engine, reservation(shop, made), choice))

    calls.trouble(meanwhile(opens), "TransactWriteItems")
    with pytest.raises(BookingOver):
        confirm(shop, made)
    assert find(shop, made).state is BookingState.TEMP_HOLD
    opening.start(shop.machines.checkout, opened[0])
    assert (find(shop, made).state, find(shop, made).payment) == (BookingState.CONFIRMED, PaymentState.PAID)
    assert [(order.provider, order.captured_minor) for order in orders_of(shop)] == [("sandbox", 50_000)]
    shop.audit()


def test_what_staff_confirm_right_before_a_checkout_is_opened_is_not_paid_again(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    record = reservation(shop, made)
    calls.trouble(meanwhile(lambda: confirm(shop, made)), "PutItem")
    with pytest.raises(ReservationOver):
        opening.open_order(shop.engine, record, PaymentChoice("sandbox", "tok_success"))
    assert [(order.provider, order.captured_minor) for order in orders_of(shop)] == [("external", 50_000)]
    assert find(shop, made).payment is PaymentState.PAID
    shop.audit()


def test_a_confirmation_is_one_transaction_with_its_order_and_charge(shop: Shop, calls: Calls) -> None:
    made = book(shop)
    calls.clear()
    confirm(shop, made, KeyedRequest(shop.tenant, "key-1", f"bookings/{made.id}/confirm", "k", hash_of(None)))
    [transaction] = calls.transactions
    kinds = {pk.removeprefix(f"{shop.tenant}#").partition("#")[0] + "/" + sk[:2] for pk, sk in transaction.written}
    assert kinds == {"BOOKINGS/00", "DAY/20", "U/C#", "U/K#", "U/O#", "U/R#"}
    [order] = orders_of(shop)
    assert (order.status, order.due, order.refundable_minor) == ("completed", None, 50_000)


def test_how_bookings_are_paid_is_read_at_once_for_a_whole_page(shop: Shop, calls: Calls) -> None:
    for night in range(5):
        made = book(shop, f"k{night}", span=Span(EVENING.start + night * DAY, EVENING.end + night * DAY))
        if night % 2:
            confirm(shop, made)
    for reader, reads in ((None, ["Query", "BatchGetItem"]), ("alice", ["Query", "BatchGetItem"])):
        calls.clear()
        page = booking_pages.list_of(shop.engine, shop.tenant, Filters(reader), 1, 10)
        assert sorted(entry.payment for entry in page.entries) == ["paid", "paid", "pending", "pending", "pending"]
        assert calls.operations == [*reads, "BatchGetItem"]


def test_of_many_cancellations_at_once_one_pays_back(shop: Shop) -> None:
    made = book(shop)
    confirm(shop, made)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: cancel(shop.another(), made), range(4)))
    assert {(answer.state, answer.refund_percent, answer.refund_minor) for answer in answers} == {
        (BookingState.CANCELLED, 100, 50_000)
    }
    [order] = orders_of(shop)
    assert (order.status, order.refunded_minor, order.refundable_minor) == ("refunded", 50_000, 0)
    shop.audit()


def test_changes_of_a_venue_at_once_are_both_kept(shop: Shop, calls: Calls) -> None:
    def rename() -> None:
        venues.change(shop.engine, shop.tenant, "1", lambda _: {"name": "Riverside"})

    calls.trouble(meanwhile(rename), "PutItem")
    changed = venues.change(shop.engine, shop.tenant, "1", lambda _: {"capacity": 10})
    assert (changed.item.name, changed.item.capacity, changed.item.revision) == ("Riverside", 10, 3)


@pytest.mark.parametrize("weather", [conflict, throttled, silence_after])
@pytest.mark.parametrize("key", [None, "v"])
def test_trouble_at_any_step_opens_one_venue(
    shop: Shop, calls: Calls, weather: Callable[[Call], dict[str, Any]], key: str | None
) -> None:
    """Without a key a lost answer may leave one venue more; with one there is one, and its number is its own."""
    keyed = None if key is None else KeyedRequest(shop.tenant, "key-1", "venues", key, "hash")
    calls.clear()
    venues.create(shop.engine, shop.tenant, HALL, keyed and replace(keyed, key="first"))
    for step in range(len(calls.made)):
        mine = keyed and replace(keyed, key=f"k{step}")
        before = len(venues.list_all(shop.engine, shop.tenant, 100, None)[0])
        calls.clear()
        calls.trouble(weather, skip=step)
        try:
            made = venues.create(shop.engine, shop.tenant, HALL, mine)
        except HoldfastError:
            made = venues.create(shop.engine, shop.tenant, HALL, mine)
        found = venues.list_all(shop.engine, shop.tenant, 100, None)[0]
        assert [venue.id for venue in found].count(made.id) == 1
        if key is not None:
            assert len(found) == before + 1
