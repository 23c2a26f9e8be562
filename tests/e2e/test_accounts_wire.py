"""Accounts on the deployed stack, over HTTP: the user pool, the authorizer and the functions together."""

import re
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from local.stack import Stack
from tests.e2e.people import PASSWORD, Person, mailed_to, public, signed_up
from tests.e2e.wire import answered, keyed, refused
from tests.handlers.user_pool import totp

RESET_CODE = "654321"
"""What the emulated user pool mails to whoever forgot a password."""

Clients = Callable[[str], httpx.Client]


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test knows."""
    return f"t-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def admin(client_of_tenant: Clients, tenant: str) -> httpx.Client:
    """A key of that tenant that may do everything."""
    return client_of_tenant(tenant)


@pytest.fixture
def person(stack: Stack, admin: httpx.Client, tenant: str) -> Person:
    """A customer who signed up and in."""
    return signed_up(stack.base_url, tenant)


def _product(admin: httpx.Client, price: str = "0") -> str:
    body = {"name": "Lamp", "total_stock": 5, "price": price}
    return str(answered(admin.post("/api/products", json=body), 201)["data"]["id"])


def _cart(product: str) -> dict[str, object]:
    return {"items": [{"kind": "product", "product_id": product, "quantity": 1}]}


def test_somebody_signs_up_and_in_and_buys_in_their_own_name(person: Person, admin: httpx.Client) -> None:
    current = answered(person.client.get("/api/users/currentuser"), 200)["currentUser"]
    assert (current["id"], current["email"]) == (person.id, person.email)
    product = _product(admin, "5.00")
    held = answered(person.client.post("/api/v1/reservations", json=_cart(product), headers=keyed()), 201)
    assert held["user_id"] == person.id
    paid = {"payment": {"provider": "sandbox", "token": "tok_success"}}
    path = f"/api/v1/reservations/{held['id']}/checkout"
    order = answered(person.client.post(path, json=paid, headers=keyed() | {"Prefer": "wait=15"}), 200)
    assert order["status"] == "completed"
    refused(person.client.post("/api/products", json={"name": "x", "total_stock": 1}), 403, "forbidden")
    refused(person.client.get("/api/v1/users"), 403, "forbidden")
    refused(person.client.get("/api/v1/orders?user_id=somebody"), 403, "forbidden")


def test_a_wrong_password_and_an_unknown_account_are_told_alike(person: Person, stack: Stack, tenant: str) -> None:
    client = public(stack.base_url, tenant)
    bodies = [
        refused(client.post("/api/users/signin", json={"email": email, "password": password}), 400, "bad_credentials")
        for email, password in ((person.email, "Wrong-horse-77"), ("nobody@example.com", PASSWORD))
    ]
    assert bodies[0]["error"] == bodies[1]["error"]
    refused(client.post("/api/users/signup", json={"email": person.email, "password": PASSWORD}), 400, "email_in_use")
    weak = {"email": "weak@example.com", "password": "short"}
    assert client.post("/api/users/signup", json=weak).status_code == 400


def test_who_signed_out_moves_no_money_at_once_and_goes_on_once_signed_in_again(
    person: Person, admin: httpx.Client
) -> None:
    held = answered(person.client.post("/api/v1/reservations", json=_cart(_product(admin)), headers=keyed()), 201)
    old, before = person.client.headers["Authorization"], person.refresh_token
    assert answered(person.client.post("/api/users/signout"), 200) == {}
    path = f"/api/v1/reservations/{held['id']}/checkout"
    refused(person.client.post(path, json={}, headers=keyed()), 401, "unauthorized")
    refused(person.client.get(f"/api/v1/users/{person.id}/export"), 401, "unauthorized")
    assert answered(person.client.get("/api/users/currentuser"), 200) == {"currentUser": None}
    refused(person.client.post("/api/users/refresh", json={"refresh_token": before}), 401, "unauthorized")
    person.sign_in()
    assert person.client.headers["Authorization"] != old
    answered(person.client.post(path, json={}, headers=keyed() | {"Prefer": "wait=15"}), 200)


def test_a_refreshed_token_is_good(person: Person) -> None:
    fresh = answered(person.client.post("/api/users/refresh", json={"refresh_token": person.refresh_token}), 200)
    person.client.headers["Authorization"] = f"Bearer {fresh['access_token']}"
    assert answered(person.client.get("/api/v1/orders"), 200)["items"] == []


def test_a_role_is_given_by_an_admin_and_heeded(person: Person, admin: httpx.Client, tenant: str) -> None:
    refused(person.client.patch(f"/api/v1/users/{person.id}", json={"role": "admin"}), 403, "forbidden")
    answered(admin.patch(f"/api/v1/users/{person.id}", json={"role": "admin"}), 200)
    person.sign_in()
    made = answered(person.client.post("/api/v1/keys", json={"label": "gate", "roles": ["staff"]}), 201)
    with httpx.Client(base_url=str(person.client.base_url), trust_env=False) as gate:
        gate.headers["Authorization"] = f"Bearer {made['key']}"
        assert answered(gate.get("/api/v1/bookings"), 200)["bookings"] == []
        refused(gate.post("/api/products", json={"name": "x", "total_stock": 1}), 403, "forbidden")
        rotated = answered(person.client.post(f"/api/v1/keys/{made['id']}/rotate", json={}), 201)
        assert gate.get("/api/v1/bookings").status_code == 200
        gate.headers["Authorization"] = f"Bearer {rotated['key']}"
        assert gate.get("/api/v1/bookings").status_code == 200
        answered(person.client.delete(f"/api/v1/keys/{rotated['id']}"), 200)
        refused(
            gate.post(f"/api/v1/orders/o-{'a' * 16}-{'0' * 32}/refund", json={}, headers=keyed()), 401, "unauthorized"
        )


def test_a_forgotten_password_is_chosen_anew_and_the_old_one_is_no_more(
    person: Person, stack: Stack, tenant: str
) -> None:
    client, other = public(stack.base_url, tenant), "Another-horse-8"
    told = [
        answered(client.post("/api/users/forgot-password", json={"email": email}), 202)
        for email in (person.email, "nobody@example.com")
    ]
    assert told[0] == told[1]
    reset = {"email": person.email, "code": RESET_CODE, "new_password": other}
    answered(client.post("/api/users/reset-password", json=reset), 200)
    assert answered(person.client.get("/api/users/currentuser"), 200) == {"currentUser": None}
    old = {"email": person.email, "password": PASSWORD}
    refused(client.post("/api/users/signin", json=old), 400, "bad_credentials")
    person.sign_in(other)
    changed = {"password": other, "new_password": PASSWORD}
    answered(person.client.post("/api/users/password", json=changed), 200)
    person.sign_in()


def test_a_second_factor_is_asked_for_once_it_is_switched_on(person: Person) -> None:
    client, account = person.client, {"email": person.email, "password": PASSWORD}
    secret = answered(client.post("/api/users/totp"), 200)["secret"]
    refused(client.post("/api/users/totp/confirm", json={"code": "000000"}), 400, "code_wrong")
    answered(client.post("/api/users/totp/confirm", json={"code": totp(secret, int(time.time()))}), 200)
    asked = answered(client.post("/api/users/signin", json=account), 200)
    assert asked["challenge"] == "code"
    going_on = {"id": person.id, "session": asked["session"]}
    refused(client.post("/api/users/signin/answer", json=going_on | {"code": "000000"}), 400, "code_wrong")
    again = answered(client.post("/api/users/signin", json=account), 200)["session"]
    code = totp(secret, int(time.time()))
    signed = answered(
        client.post("/api/users/signin/answer", json={"id": person.id, "session": again, "code": code}), 200
    )
    client.headers["Authorization"] = f"Bearer {signed['access_token']}"
    answered(client.delete("/api/users/totp"), 200)
    person.sign_in()


def test_who_is_invited_signs_in_with_a_password_of_their_own(admin: httpx.Client, stack: Stack, tenant: str) -> None:
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    known = {"name": "Sam", "phone": "+919876543219", "email": email, "role": "staff"}
    user_id = answered(admin.post("/api/v1/users", json=known), 200)["user"]["id"]
    assert answered(admin.post(f"/api/v1/users/{user_id}/invite", json={}), 202)["sent"] is True
    first = re.search(r"password(?: is)?:? (\S+)", mailed_to(stack, email)[-1])
    assert first is not None, mailed_to(stack, email)
    client = public(stack.base_url, tenant)
    given = {"email": email, "password": first[1].rstrip(".")}
    asked = answered(client.post("/api/users/signin", json=given), 200)
    assert (asked["challenge"], asked["id"]) == ("new_password", user_id)
    chosen = {"id": user_id, "session": asked["session"], "new_password": PASSWORD}
    signed = answered(client.post("/api/users/signin/answer", json=chosen), 200)
    client.headers["Authorization"] = f"Bearer {signed['access_token']}"
    assert answered(client.get("/api/v1/users"), 200)["users"][0]["id"] == user_id


def test_an_account_is_exported_and_deleted(person: Person, stack: Stack, tenant: str) -> None:
    everything = answered(person.client.get(f"/api/v1/users/{person.id}/export"), 200)
    assert person.email in str(everything)
    answered(person.client.delete(f"/api/v1/users/{person.id}"), 200)
    refused(person.client.get(f"/api/v1/users/{person.id}/export"), 401, "unauthorized")
    again = {"email": person.email, "password": PASSWORD}
    refused(public(stack.base_url, tenant).post("/api/users/signin", json=again), 400, "bad_credentials")
    assert public(stack.base_url, tenant).post("/api/users/signup", json=again).status_code == 201
