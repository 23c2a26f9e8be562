"""Captchas, in every function that asks for them: once where no secret of the provider's is, and once solved."""

from itertools import count
from typing import Any

from tests.infrastructure.world import KEY, TENANT, World, moment

CART = "/api/v1/reservations"
SETTINGS = "/api/v1/settings"

_numbers = count()

Line = dict[str, Any]


def ask_for_captchas(world: World, lines: list[Line]) -> None:
    """Reserve and check out everywhere; `lines` are a cart of every kind."""
    offer = {"title": "Matinee", "price": "25.00", "userId": "ada"}
    ticket = world.request("marketplace", "POST", "/api/tickets", offer)["id"]
    product = next(line for line in lines if line["kind"] == "product")
    hall = next(line for line in lines if line["kind"] == "venue")
    held = world.request("reservations", "POST", CART, {"items": [product], "user_id": "joan"}, key="before")["id"]
    evening = {"venueId": hall["venue_id"], "startTs": moment(500), "endTs": moment(503), "userId": "joan"}
    piece = {"product_id": product["product_id"], "quantity": 1}
    asked: list[tuple[str, str, Any]] = [
        ("reservations", CART, {"items": [product], "user_id": "joan"}),
        ("flash_deals", "/api/reserve/bulk", {"user_id": "joan", "items": [piece]}),
        ("reserve_and_checkout", "/api/reserve", {"user_id": "katherine", **piece}),
        ("marketplace", "/api/orders", {"ticketId": ticket, "userId": "joan"}),
        ("bookings", "/api/v1/bookings", evening),
        ("checkout", f"{CART}/{held}/checkout", {"payment": {"provider": "sandbox", "token": "tok_success"}}),
    ]
    for provider, unavailable in (("turnstile", True), ("sandbox", False)):
        captcha = {"provider": provider, "site_key": "1x00", "hosts": ["shop.example.com"]}
        _set(world, captcha)
        for folder, path, body in asked:
            token = f"pass.{next(_numbers)}"
            world.request(folder, "POST", path, body, key=token, captcha=token, refused=unavailable)
    _set(world, None)


def _set(world: World, captcha: dict[str, Any] | None) -> None:
    """Set what a tenant asks for, and have its key let in as the authorizer then knows it."""
    world.request("settings", "PATCH", SETTINGS, {"captcha": captcha})
    assert world.contexts[KEY]["tenant"] == TENANT
    world.let_in(KEY, world.credentials[KEY])
