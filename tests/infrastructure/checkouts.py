"""Checkouts, refunds, webhooks and tickets in every way in which their functions call AWS."""

import json
import time
from itertools import count
from typing import Any

import boto3

from holdfast.platform.tables import Key, Keys, key_of, reservation_of
from tests.infrastructure.world import TENANT, LambdaContext, World

CART = "/api/v1/reservations"
ORDERS = "/api/v1/orders"
SETTINGS = "/api/v1/settings/payments"

_numbers = count()

Line = dict[str, Any]


def check_everything_out(world: World, lines: list[Line], ticket: str) -> None:
    """Buy, pay late, twice and not at all, give back, let in; `lines` are a cart of every kind, of which all is free.

    `ticket` is a resale ticket that nobody has ordered.
    """
    world.request("settings", "GET", SETTINGS)
    world.request("settings", "PUT", SETTINGS, {"providers": ["sandbox", "stripe", "razorpay"]})
    standing = [line for line in lines if line["kind"] == "ticket"]
    _buy_and_give_back(world, lines, standing)
    _pay_at_the_sandbox(world, lines)
    _buy_in_other_views(world, lines)
    _fail_to_pay(world, lines, standing)
    _find_checkouts_whose_order_is_over(world, lines)
    _be_paid_late(world, lines)
    _pay_for_an_order_of_the_marketplace(world, ticket)
    _ask_for_credentials(world, standing)
    _take_up_what_broke_off(world, standing)
    _record(world)


def _key() -> str:
    return f"checkout-{next(_numbers)}"


def _hold(world: World, lines: list[Line], seconds: int = 600) -> str:
    """Hold lines for somebody new, whom no limit stands in the way of."""
    body = {"items": lines, "user_id": f"mary-{next(_numbers)}", "hold_seconds": seconds}
    return str(world.request("reservations", "POST", CART, body, key=_key())["id"])


def _check_out(world: World, held: str, token: str | None, provider: str = "sandbox", refused: bool = False) -> Any:
    """Check a reservation out, and return its order as it then is."""
    payment = {"provider": provider} | ({"token": token} if token else {})
    path = f"{CART}/{held}/checkout"
    return world.request("checkout", "POST", path, {"payment": payment}, key=_key(), wait=True, refused=refused)


def _buy_and_give_back(world: World, lines: list[Line], standing: list[Line]) -> None:
    held = _hold(world, lines)
    order = _check_out(world, held, "tok_success")
    assert order["status"] == "completed"
    _check_out(world, held, "tok_success")
    path = f"{ORDERS}/{order['id']}"
    world.request("orders", "GET", ORDERS, query={"user_id": order["user_id"]})
    read = world.request("orders", "GET", path)
    world.request("orders", "GET", f"{path}/tickets")
    code = {"code": read["tickets"][0]["code"]}
    world.request("check_in", "POST", "/api/v1/check-in", code, key="scan")
    world.request("check_in", "POST", "/api/v1/check-in", code, refused=True)
    world.request("check_in", "GET", "/api/v1/check-in/keys")
    # All but the tickets that were let in goes back.
    part = {"items": [{"line": place} for place, line in enumerate(read["lines"]) if line["kind"] != "ticket"]}
    refunded = world.request("orders", "POST", f"{path}/refund", part, key=_key(), wait=True)
    assert refunded["status"] == "partially_refunded"

    whole = _check_out(world, _hold(world, [line for line in lines if line not in standing]), "tok_success")
    cancelled = world.request("orders", "POST", f"{ORDERS}/{whole['id']}/cancel", key=_key(), wait=True)
    assert cancelled["status"] in ("cancelled", "refunded")


def _pay_at_the_sandbox(world: World, lines: list[Line]) -> None:
    """Pay by webhooks, once and twice, be declined, and cancel what is awaited."""
    for token, action in (("tok_confirm", "pay"), ("tok_pay_twice", "pay"), ("tok_confirm", "decline")):
        order = _check_out(world, _hold(world, _one_of(lines)), token)
        assert order["status"] == "awaiting_payment"
        _act(world, order, action)
    order = _check_out(world, _hold(world, _one_of(lines)), "tok_confirm")
    world.request("orders", "POST", f"{ORDERS}/{order['id']}/cancel", key=_key(), wait=True)
    _cancel_before_the_payment_is_awaited(world, lines)


def _cancel_before_the_payment_is_awaited(world: World, lines: list[Line]) -> None:
    """Let the task that is to wait find that the buyer has cancelled meanwhile."""

    held = _hold(world, _one_of(lines))
    path = f"{ORDERS}/o-{held.removeprefix('r-')}/cancel"

    def cancel() -> None:
        world.request("orders", "POST", path, key=_key())

    world.machines.beside("AwaitPayment", before=cancel, call=world.machines.calls["AwaitPayment"] + 1)
    assert _check_out(world, held, "tok_confirm")["status"] == "cancelled"


def _buy_in_other_views(world: World, lines: list[Line]) -> None:
    """Buy a hold of the older deals, and a booking of a hall whose payment its own route then cancels."""
    product = next(line["product_id"] for line in lines if line["kind"] == "product")
    deal = {"user_id": "mary", "product_id": product, "quantity": 1}
    world.request("reserve_and_checkout", "POST", "/api/reserve", deal)
    (hold,) = world.request("reservations", "GET", CART, query={"user_id": "mary", "status": "held"})["items"]
    assert _check_out(world, hold["id"], "tok_success")["status"] == "completed"
    hall = next(line for line in lines if line["kind"] == "venue")
    evening = {"venueId": hall["venue_id"], "startTs": hall["start"], "endTs": hall["end"], "userId": "mary"}
    booking = world.request("bookings", "POST", "/api/v1/bookings", evening, key=_key())["booking"]["id"]
    assert _check_out(world, booking, "tok_confirm")["status"] == "awaiting_payment"
    world.request("bookings", "POST", f"/api/v1/bookings/{booking}/cancel")


def _fail_to_pay(world: World, lines: list[Line], standing: list[Line]) -> None:
    """Be declined and let go of all, and pay what cannot be captured: all that was confirmed goes back."""
    order = _check_out(world, _hold(world, lines), "tok_decline")
    world.request("orders", "POST", f"{ORDERS}/{order['id']}/cancel", key=_key(), wait=True)
    assert _check_out(world, _hold(world, lines), "tok_capture_fails")["status"] == "failed"
    free = _check_out(world, _hold(world, standing), None, "external")
    assert free["status"] == "completed"


def _be_paid_late(world: World, lines: list[Line]) -> None:
    """Let deadlines pass, told by a message and by the sweeper; then pay one of them: its goods are taken again."""
    orders = [_check_out(world, _hold(world, lines, 1), "tok_pay_late")]
    orders.append(_check_out(world, _hold(world, _one_of(lines), 1), "tok_never"))
    time.sleep(1.1)
    _tell_expiry(world)
    swept = _sweep(world)
    assert swept["holds"] >= 1
    _act(world, orders[0], "pay")
    order = world.request("orders", "GET", f"{ORDERS}/{orders[0]['id']}")
    assert order["status"] == "completed"


def _find_checkouts_whose_order_is_over(world: World, lines: list[Line]) -> None:
    """Have a message and the sweeper find something of every kind in checkout that no workflow is at any more."""
    for told in (_tell_expiry, _sweep):
        held = _hold(world, lines)
        order = Keys(TENANT).by_order_id(_check_out(world, held, "tok_confirm")["id"])
        assert order is not None
        record, long_ago = reservation_of(order), int(time.time() * 1000) - 60_000
        _set(order, "status", {"S": "payment_failed"})
        for name in ("expires_at", "due"):
            _set(record, name, {"N": str(long_ago)})
        told(world)
        assert world.request("reservations", "GET", f"{CART}/{held}")["status"] == "held"
        world.request("reservations", "DELETE", f"{CART}/{held}")


def _tell_expiry(world: World) -> None:
    """Send the message of what is in checkout and overdue."""
    found, *_ = [item for item in _items() if item.get("status") == {"S": "checking_out"} and _is_past(item)]
    body = {name: found[name]["S"] for name in ("pk", "sk")} | {"expires_at": int(found["due"]["N"])}
    message = {"messageId": "1", "body": json.dumps(body)}
    assert world.invoke("expiry", {"Records": [message]}) == {"batchItemFailures": []}


def _is_past(item: dict[str, Any]) -> bool:
    return int(item["due"]["N"]) < time.time() * 1000


def _pay_for_an_order_of_the_marketplace(world: World, ticket: str) -> None:
    wanted = {"ticketId": ticket, "userId": "mary"}
    awaited = world.request("marketplace", "POST", "/api/orders", wanted, key=_key())["id"]
    assert _check_out(world, awaited, "tok_confirm")["status"] == "awaiting_payment"
    world.request("marketplace", "PATCH", f"/api/orders/{awaited}")
    order = world.request("marketplace", "POST", "/api/orders", wanted, key=_key())
    paid = {"token": "tok_success", "orderId": order["id"]}
    world.request("checkout", "POST", "/api/payments", paid, key=_key())


def _ask_for_credentials(world: World, lines: list[Line]) -> None:
    """Be told by a provider, ask one, and answer one, whose credentials are nowhere."""
    world.invoke("webhooks", world.event("POST", f"/webhooks/stripe/{TENANT}", {}))
    _check_out(world, _hold(world, lines), "pm_card_visa", "stripe")
    assert world.machines.letters
    held = _hold(world, lines)
    order = Keys(TENANT).by_order_id(_check_out(world, held, None)["id"])
    assert order is not None
    _set(order, "provider", {"S": "razorpay"})
    payment = {"payment": {"provider": "razorpay", "token": "pay_1|0"}}
    answered = world.invoke("checkout", world.event("POST", f"{CART}/{held}/checkout", payment, key=_key()))
    assert answered["statusCode"] == 503, answered["body"]


def _take_up_what_broke_off(world: World, lines: list[Line]) -> None:
    """Let the starts of a checkout and of a refund be lost for the sweeper to find; send round again what was left."""
    bought = _check_out(world, _hold(world, lines), "tok_success")
    world.loses_starts = True
    _check_out(world, _hold(world, lines), "tok_success")
    world.request("orders", "POST", f"{ORDERS}/{bought['id']}/refund", {}, key=_key())
    world.loses_starts = False
    for item in _items():
        if item["sk"]["S"].startswith(("O#", "F#")) and "due" in item:
            _set(key_of(item), "due", {"N": "1"})
    swept = _sweep(world)
    assert (swept["orders"] >= 1, swept["refunds"]) == (True, 1)
    world.machines.fail("CompleteOrder")
    _check_out(world, _hold(world, lines), "tok_success")
    world.machines.mend("CompleteOrder")
    letters = [*world.machines.letters, {"machine": "refund", "run": _a_refund()}]
    records = [{"messageId": str(place), "body": json.dumps(letter)} for place, letter in enumerate(letters)]
    assert world.invoke("compensations", {"Records": records}) == {"batchItemFailures": []}


def _a_refund() -> dict[str, Any]:
    """Return the input of a run of some refund."""
    item = next(item for item in _items() if item["sk"]["S"].startswith("F#"))
    refund = {name: item[name]["S"] for name in ("pk", "sk")}
    order = {"pk": refund["pk"], "sk": f"O#{refund['sk'].split('#')[1]}"}
    return {"order": order, "refund": refund, "outcomes": {}}


def _record(world: World) -> None:
    """Tell the recorder of all orders, and of something that it cannot read."""
    when = {"SequenceNumber": "1", "ApproximateCreationDateTime": 1_772_359_200.0}
    orders = [item for item in _items() if item["sk"]["S"].startswith("O#")]
    records: list[Any] = [{"dynamodb": when | {"NewImage": order}} for order in orders]
    records.append({"dynamodb": {"NewImage": {}}})
    assert world.invoke("event_recorder", {"Records": records}) == {"batchItemFailures": []}


def _act(world: World, order: Any, action: str) -> None:
    """Do something at the sandbox's page, with the order's one payment that is still open."""
    key = Keys(TENANT).by_order_id(order["id"])
    assert key is not None
    prefix = f"C#{key.sk.removeprefix('O#')}#"
    charge = next(item for item in _items() if item["sk"]["S"].startswith(prefix))
    path = f"/sandbox/{TENANT}/payments/{charge['payment_id']['S']}"
    world.request("webhooks", "POST", path, {"action": action})


def _one_of(lines: list[Line]) -> list[Line]:
    """Return the line of a product, of which there is enough for many."""
    return [line for line in lines if line["kind"] == "product"]


def _items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("dynamodb").scan(TableName="table")["Items"]
    return found


def _set(key: Key, name: str, value: dict[str, str]) -> None:
    """Change one attribute of an item, past all rules."""
    boto3.client("dynamodb").update_item(
        TableName="table",
        Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def _sweep(world: World) -> dict[str, int]:
    with world.as_function("sweeper") as sweeper:
        sweeper.GRACE = 0
        swept: dict[str, int] = sweeper.handler({}, LambdaContext())
        return swept
