"""How bookings of halls are paid: elsewhere, as staff say, or here; and what is paid back (WIRE.md, section 4)."""

from typing import Any

import pytest

from tests.handlers.account import HandMovedClock
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import book, booked, new_hall, set_to

PRICE = 50_000
HOUR = 3600


@pytest.fixture(autouse=True)
def _monday(clock: HandMovedClock) -> None:
    set_to(clock)


def act(api: Api, booking: dict[str, Any], step: str) -> Answer:
    return api.post(f"/api/v1/bookings/{booking['id']}/{step}")


def pay(api: Api, booking: dict[str, Any], token: str, key: str = "p") -> Answer:
    body = {"payment": {"provider": "sandbox", "token": token}}
    target = f"/api/v1/reservations/{booking['id']}/checkout"
    return api.as_user("alice").post(target, body, key=key, headers={"Prefer": "wait=5"})


def order(api: Api, booking: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"/api/v1/orders/o{booking['id'][1:]}")
    assert answer.status == 200, answer.text
    return dict(answer.json)


def states(api: Api, booking: dict[str, Any]) -> tuple[str, str]:
    """Return the booking's state and how it is paid, which lists and the booking itself have to say alike."""
    read = api.get(f"/api/v1/bookings/{booking['id']}").json["booking"]
    for reader in (api, api.as_user("alice")):
        assert read in reader.get("/api/v1/bookings").json["bookings"]
    return read["status"], read["paymentStatus"]


def test_what_staff_confirm_is_paid_elsewhere(api: Api) -> None:
    booking = booked(api, new_hall(api))
    assert states(api, booking) == ("temp_hold", "pending")
    assert act(api, booking, "confirm").json["booking"]["paymentStatus"] == "paid"
    assert states(api, booking) == ("confirmed", "paid")
    bought = order(api, booking)
    assert (bought["status"], bought["payment"]["provider"], bought["user_id"]) == ("completed", "external", "alice")
    [charge] = bought["charges"]
    assert (charge["status"], charge["amount_minor"], charge["captured_minor"]) == ("completed", PRICE, PRICE)


def test_what_costs_nothing_is_confirmed_without_a_charge(api: Api) -> None:
    booking = booked(api, new_hall(api, basePriceCents=0))
    assert act(api, booking, "confirm").json["booking"]["paymentStatus"] == "paid"
    bought = order(api, booking)
    assert (bought["status"], bought["payment"]["provider"], bought["charges"]) == ("completed", "free", [])
    cancelled = act(api, booking, "cancel").json
    assert (cancelled["booking"]["status"], cancelled["refundPercent"], cancelled["refundAmountCents"]) == (
        "cancelled",
        100,
        0,
    )


def test_a_payment_confirms_a_booking(api: Api) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    assert pay(api, booking, "tok_success").json["status"] == "completed"
    assert states(api, booking) == ("confirmed", "paid")
    before = order(api, booking)
    assert act(api, booking, "confirm").json["booking"]["paymentStatus"] == "paid", "confirmed twice"
    assert order(api, booking) == before
    assert book(api, venue, "k2", userId="bob").status == 409


def test_a_booking_that_is_being_paid_is_not_confirmed_by_staff(api: Api) -> None:
    booking = booked(api, new_hall(api))
    assert pay(api, booking, "tok_confirm").json["status"] == "awaiting_payment"
    assert states(api, booking) == ("pending", "pending")
    refused = act(api, booking, "confirm")
    assert (refused.status, refused.code) == (409, "booking_state")
    assert states(api, booking) == ("pending", "pending")


@pytest.mark.parametrize("key", [None, "c"])
def test_a_booking_that_is_being_paid_can_be_cancelled(api: Api, key: str | None) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    pay(api, booking, "tok_confirm")
    target = f"/api/v1/bookings/{booking['id']}/cancel"
    answer = api.as_user("alice").post(target, key=key)
    assert (answer.status, answer.json["booking"]["status"], answer.json["refundPercent"]) == (200, "cancelled", None)
    assert states(api, booking) == ("cancelled", "pending")
    assert order(api, booking)["status"] == "cancelled"
    assert api.as_user("alice").post(target, key=key).json == answer.json
    assert book(api, venue, "k2", userId="bob").status == 201


def test_a_booking_whose_payment_was_declined_is_held_as_before(api: Api) -> None:
    booking = booked(api, new_hall(api))
    assert pay(api, booking, "tok_decline").json["status"] == "payment_failed"
    assert states(api, booking) == ("temp_hold", "pending")
    assert act(api, booking, "confirm").json["booking"]["status"] == "confirmed"
    bought = order(api, booking)
    assert bought["status"] == "completed"
    assert [charge["status"] for charge in bought["charges"]] == ["failed", "completed"]


@pytest.mark.parametrize("paid", ["elsewhere", "here"])
@pytest.mark.parametrize(("hours", "percent", "payment"), [(73, 100, "refunded"), (48, 50, "partial"), (23, 0, "paid")])
def test_what_was_paid_is_paid_back_by_the_notice(
    api: Api, clock: HandMovedClock, paid: str, hours: int, percent: int, payment: str
) -> None:
    venue = new_hall(api)
    booking = booked(api, venue)
    if paid == "here":
        pay(api, booking, "tok_success")
    else:
        act(api, booking, "confirm")
    set_to(clock, "2027-03-10T18:00:00+00:00")
    clock.advance(-hours * HOUR)
    answer = act(api.as_user("alice"), booking, "cancel")
    assert (answer.status, answer.json["refundPercent"]) == (200, percent)
    assert answer.json["refundAmountCents"] == PRICE * percent // 100
    assert states(api, booking) == ("cancelled", payment)
    money = order(api, booking)
    assert money["captured_minor"] - money["refunded_minor"] == money["fee_minor"] == PRICE * (100 - percent) // 100
    assert act(api, booking, "cancel").json == answer.json


def test_a_booking_that_was_cancelled_as_an_order_says_what_was_paid_back(api: Api, clock: HandMovedClock) -> None:
    booking = booked(api, new_hall(api))
    pay(api, booking, "tok_success")
    set_to(clock, "2027-03-10T18:00:00+00:00")
    clock.advance(-48 * HOUR)
    target = f"/api/v1/orders/o{booking['id'][1:]}/cancel"
    assert api.as_user("alice").post(target, key="c", headers={"Prefer": "wait=5"}).status == 200
    assert states(api, booking) == ("cancelled", "partial")
    shown = api.get(f"/api/v1/bookings/{booking['id']}").json
    assert (shown["refundPercent"], shown["refundAmountCents"]) == (50, PRICE // 2)


@pytest.mark.parametrize("key", [None, "c"])
def test_a_booking_whose_money_cannot_be_paid_back_stays_confirmed(api: Api, key: str | None) -> None:
    booking = booked(api, new_hall(api))
    pay(api, booking, "tok_refund_fails")
    refused = api.post(f"/api/v1/bookings/{booking['id']}/cancel", key=key)
    assert (refused.status, refused.code) == (409, "not_refundable")
    assert states(api, booking) == ("confirmed", "paid")
    assert order(api, booking)["refunded_minor"] == 0
