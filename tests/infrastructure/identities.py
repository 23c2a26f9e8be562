"""Tenants, keys and accounts in every way in which their functions call AWS."""

import time
from typing import Any

from holdfast.identity import service_keys, tenants
from holdfast.identity.people import Directory
from holdfast.identity.sign_up import WAITS_SECONDS
from holdfast.platform.access import OPERATOR, ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Delete, connect
from holdfast.platform.tables import OPERATOR_TENANT, Keys, key_of
from tests.handlers import tokens
from tests.handlers.gateway import function_of
from tests.handlers.user_pool import refusal, totp
from tests.infrastructure.world import TENANT, World, moment

EMAIL = "asha@example.com"
FIRST, SECOND, THIRD = ("correct-Horse-7", "battery-Staple-8", "Tr0ubador-and-3")


def let_everybody_in(world: World, slot: dict[str, Any]) -> None:
    """Do all that the functions around identity do; `slot` is a cart's line about a partner's slot."""
    _make_tenants(world)
    _set_for_a_tenant(world)
    _keep_keys(world)
    user = _sign_up(world)
    _forget_who_never_confirmed(world)
    _come_and_go(world, user)
    _forget_and_change_passwords(world, user)
    _use_a_second_factor(world, user)
    _invite(world)
    _take_personal_data_away(world, slot)


def look_at_everybody_anew(world: World) -> None:
    """Have somebody who signed in ask, of things that are not, for all at which credentials are looked at anew."""
    identity = connect("identity")
    people = {TENANT: "ada", OPERATOR_TENANT: "olga"}
    tokens.account(identity, TENANT, "ada", "admin")
    tokens.account(identity, OPERATOR_TENANT, "olga", OPERATOR)
    for tenant, user in people.items():
        world.let_in(user, tokens.good(tenant, user))
    for path, methods in ROUTES.items():
        for method, access in methods.items():
            if access.is_looked_at_anew:
                who = "olga" if access.roles == {OPERATOR} else "ada"
                asked = world.event(method, path.replace("{", "no-").replace("}", ""), {"nobody": "knows"}, who=who)
                answer = world.invoke(function_of(asked["path"], method), asked)
                assert 400 <= answer["statusCode"] < 500, (method, path, answer)


def _make_tenants(world: World) -> None:
    identity = connect("identity")
    tenants.establish_operators(Directory(identity))
    world.let_in("operator", service_keys.issue(identity, SystemClock(), OPERATOR_TENANT, (OPERATOR,), "test"))
    wanted = {"id": "other-shop", "name": "Other Shop", "admin": {"email": "otto@example.com", "name": "Otto"}}
    with world.pool.hooked("after", "admin_create_user", _lose_the_answer):
        world.request("tenants", "POST", "/api/v1/tenants", wanted, key="n1", who="operator", refused=True)
    for _ in range(2):
        world.request("tenants", "POST", "/api/v1/tenants", wanted, key="n1", who="operator")
    world.request("tenants", "POST", "/api/v1/tenants", wanted, who="operator", refused=True)
    world.request("tenants", "GET", "/api/v1/tenants", who="operator")
    path = "/api/v1/tenants/other-shop"
    world.request("tenants", "GET", path, who="operator")
    world.request("tenants", "PATCH", path, {"name": "The Other Shop", "status": "suspended"}, who="operator")
    third = {"id": "third-shop", "name": "Third Shop", "admin": {"email": "thea@example.com", "name": "Thea"}}
    with world.pool.hooked("after", "admin_create_user", lambda: _forget_people(world, "third-shop")):
        world.request("tenants", "POST", "/api/v1/tenants", third, who="operator", refused=True)


def _lose_the_answer() -> None:
    raise refusal("InternalErrorException", "Something went wrong", 500)


def _set_for_a_tenant(world: World) -> None:
    world.request("settings", "GET", "/api/v1/settings")
    world.request("settings", "PATCH", "/api/v1/settings", {"branding_name": "Some Shop"})
    world.request("settings", "GET", "/api/v1/branding")


def _keep_keys(world: World) -> None:
    wanted = {"label": "till 3", "roles": ["service"]}
    for _ in range(2):
        issued = world.request("service_keys", "POST", "/api/v1/keys", wanted, key="k1")
    world.request("service_keys", "POST", "/api/v1/keys", wanted)
    world.request("service_keys", "GET", "/api/v1/keys")
    path = f"/api/v1/keys/{issued['id']}"
    for _ in range(2):
        rotated = world.request("service_keys", "POST", f"{path}/rotate", {"grace_seconds": 60}, key="k2")
    world.request("service_keys", "DELETE", f"/api/v1/keys/{rotated['id']}")


def _account(world: World, route: str, body: Any = None, refused: bool = False, **more: Any) -> Any:
    return world.request("accounts", "POST", f"/api/users/{route}", body, refused=refused, **more)


def _sign_up(world: World) -> str:
    """Sign up, and return the user's id."""
    wanted = {"email": EMAIL, "password": FIRST, "name": "Asha"}
    for _ in range(2):
        user = str(_account(world, "signup", wanted, key="a1")["id"])
    other = str(_account(world, "signup", wanted)["id"])
    _account(world, "confirm/resend", {"id": user})
    _account(world, "confirm", {"id": user, "code": "000000"}, refused=True)
    code = {"id": user, "code": world.pool.code_of(TENANT, user)}
    for _ in range(2):
        _account(world, "confirm", code)
    _account(world, "signup", wanted, refused=True)
    _account(world, "confirm", {"id": other, "code": world.pool.code_of(TENANT, other)}, refused=True)
    return user


def _forget_who_never_confirmed(world: World) -> None:
    """Sign up and never confirm, until that is removed."""
    waiting = str(_account(world, "signup", {"email": EMAIL.replace("asha", "nemo"), "password": FIRST})["id"])
    world.pool.of(TENANT, waiting).created_at -= WAITS_SECONDS
    assert world.invoke("unconfirmed_accounts", {}) == {"removed": 1, "left": 0}


def _sign_in(world: World, password: str) -> dict[str, Any]:
    session: dict[str, Any] = _account(world, "signin", {"email": EMAIL, "password": password})
    if "access_token" in session:
        world.let_in("asha", session["access_token"])
    return session


def _come_and_go(world: World, user: str) -> None:
    _account(world, "signin", {"email": EMAIL, "password": SECOND}, refused=True)
    _account(world, "signin", {"email": "nobody@example.com", "password": SECOND}, refused=True)
    refresh = {"refresh_token": _sign_in(world, FIRST)["refresh_token"]}
    _account(world, "refresh", refresh)
    shown = world.request("accounts", "GET", "/api/users/currentuser", who="asha")["currentUser"]
    assert (shown["id"], shown["email"]) == (user, EMAIL)
    world.request("accounts", "GET", "/api/users/currentuser")
    _account(world, "signout", who="asha")
    _account(world, "refresh", refresh, refused=True)


def _forget_and_change_passwords(world: World, user: str) -> None:
    _account(world, "forgot-password", {"email": EMAIL})
    code = world.pool.reset_code_of(TENANT, user)
    _account(world, "reset-password", {"email": EMAIL, "code": code, "new_password": SECOND})
    _sign_in(world, SECOND)
    _account(world, "password", {"password": SECOND, "new_password": THIRD}, who="asha")


def _use_a_second_factor(world: World, user: str) -> None:
    _sign_in(world, THIRD)
    secret = _account(world, "totp", who="asha")["secret"]
    _account(world, "totp/confirm", {"code": totp(secret, int(time.time()))}, who="asha")
    asked = _sign_in(world, THIRD)
    answer = {"id": user, "session": asked["session"], "code": totp(secret, int(time.time()))}
    world.let_in("asha", _account(world, "signin/answer", answer)["access_token"])
    world.request("accounts", "DELETE", "/api/users/totp", who="asha")


def _invite(world: World) -> None:
    """Invite somebody who is known by phone, twice; their address changes, and they come in."""
    grace = {"name": "Grace", "phone": "+919876543212", "email": "grace@example.com"}
    user = world.request("users", "POST", "/api/v1/users", grace)["user"]["id"]
    path = f"/api/v1/users/{user}"
    for _ in range(2):
        world.request("users", "POST", f"{path}/invite")
    world.request("users", "PATCH", path, {"email": "hopper@example.com", "phone": "+919876543213"})
    other = {"name": "Radia", "phone": "+919876543215", "email": "radia@example.com"}
    gone = world.request("users", "POST", "/api/v1/users", other)["user"]["id"]
    with world.pool.hooked("after", "admin_create_user", lambda: _forget_people(world, TENANT, gone)):
        world.request("users", "POST", f"/api/v1/users/{gone}/invite", refused=True)
    temporary = {"email": "hopper@example.com", "password": world.pool.of(TENANT, user).password}
    asked = _account(world, "signin", temporary)
    answer = {"id": user, "session": asked["session"], "new_password": FIRST}
    _account(world, "signin/answer", answer)


def _take_personal_data_away(world: World, slot: dict[str, Any]) -> None:
    """Hand out what is kept of somebody who holds, sells and has booked; then delete it."""
    user = world.contexts["asha"]["name"]
    hall = world.request("venues", "GET", "/api/v1/venues")["venues"][0]["id"]
    evening = {"venueId": hall, "startTs": moment(400), "endTs": moment(402), "userId": user}
    world.request("bookings", "POST", "/api/v1/bookings", evening, key="b9")
    offer = {"title": "Closing night", "price": "25.00", "userId": user}
    world.request("marketplace", "POST", "/api/tickets", offer)
    world.request("reservations", "POST", "/api/v1/reservations", {"items": [slot], "user_id": user}, key="r9")
    path = f"/api/v1/users/{user}"
    world.request("users", "PATCH", path, {"phone": "+919876543214"})
    world.request("personal_data", "GET", f"{path}/export")
    world.request("personal_data", "DELETE", path)
    world.request("personal_data", "DELETE", path, refused=True)


def _forget_people(world: World, tenant: str, user_id: str = "") -> None:
    """Take somebody, or everybody, of a tenant away, past all rules."""
    with world.by_hand():
        identity = connect("identity")
        for person in map(key_of, identity.query(Keys(tenant).people()).items):
            if user_id in ("", person.sk):
                identity.write(Delete(person))
