"""Page tokens that were forged, as anybody can: what leads to no place of the list is refused as any other."""

from collections.abc import Callable

import pytest

from holdfast.catalogue.halls.booking_pages import Filters
from holdfast.platform import page_tokens
from holdfast.platform.tables import Keys
from tests.handlers.box_office import new_event
from tests.handlers.gateway import Api
from tests.handlers.test_orders import bought, product_line

USER = "alice"


def _export(api: Api) -> tuple[str, str]:
    return f"/api/v1/users/{USER}/export", f"{api.tenant}/export/{USER}"


def _reservations(api: Api) -> tuple[str, str]:
    return f"/api/v1/reservations?user_id={USER}", f"{Keys(api.tenant).user(USER)} None None"


def _orders(api: Api) -> tuple[str, str]:
    return f"/api/v1/orders?user_id={USER}", f"{Keys(api.tenant).user(USER)} orders None"


def _tickets(api: Api) -> tuple[str, str]:
    order = bought(api, product_line(api.new_product()), user=USER)
    key = Keys(api.tenant).by_order_id(order["id"])
    assert key is not None
    return f"/api/v1/orders/{order['id']}/tickets", f"{key.pk} {key.sk} tickets"


def _users(api: Api) -> tuple[str, str]:
    return "/api/v1/users", f"{api.tenant}/people/"


def _bookings(api: Api) -> tuple[str, str]:
    return "/api/v1/bookings", f"{api.tenant}/bookings/{Filters()}"


def _seats(api: Api) -> tuple[str, str]:
    event = new_event(api)
    return f"/api/v1/events/{event}/seats", f"{api.tenant} seats {event} "


@pytest.mark.parametrize(
    ("listed", "positions"),
    [
        (_export, ["", ".", "gone.", "gone"]),
        (_reservations, ["", "H", "X#a", "LIMITS"]),
        (_orders, ["", "R#a", "LIMITS"]),
        (_tickets, ["", "x", "-1", "1.5", "9" * 30]),
        (_users, ["", "x", ".x", "x.x"]),
        (_bookings, ["x", "1.zz", "1.\n"]),
        (_seats, ["", "gone"]),
    ],
)
def test_a_forged_place_is_400(api: Api, listed: Callable[[Api], tuple[str, str]], positions: list[str]) -> None:
    path, scope = listed(api)
    api.hold(USER, api.new_product())
    for position in positions:
        token = page_tokens.issue(scope, position)
        answer = api.get(f"{path}{'&' if '?' in path else '?'}next={token}")
        assert (answer.status, answer.faults()) == (400, {"next": "invalid"}), position
