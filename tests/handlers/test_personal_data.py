"""All that is kept of a user, handed out; and deleted, so that nothing says any more who they were."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from holdfast.catalogue.halls import bookings
from holdfast.catalogue.halls import personal_data as halls
from holdfast.catalogue.halls.booking_views import Booking
from holdfast.identity import people
from holdfast.identity.people import Directory
from holdfast.platform import revocation, user_pool
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.identity_items import SessionItem
from holdfast.platform.revocation import looked_at_anew
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from tests.handlers import marketplace
from tests.handlers.account import IDENTITY, Aws, HandMovedClock
from tests.handlers.dying import die_everywhere
from tests.handlers.gateway import Answer, Api
from tests.handlers.halls import new_hall
from tests.handlers.paying import Buyer
from tests.handlers.user_pool import InMemoryCognito, installed
from tests.workflow import Machines

ROUTE = "/api/v1/users"
NAME, EMAIL, PHONE = "Asha Rao", "asha@example.com", "+919876543210"
PASSWORD = "Correct-Horse-7"
SAID = ("Asha", "asha@example", "9876543210", "Ramp needed", "seating plan")
"""What nothing says any more once somebody is deleted, in whatever it stood."""


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> InMemoryCognito:
    """The pool that accounts are in."""
    return installed(monkeypatch)


@pytest.fixture
def venue(api: Api) -> str:
    """A hall."""
    return new_hall(api)


def signed_up(api: Api, pool: InMemoryCognito, email: str = EMAIL, name: str = NAME) -> str:
    """Sign up, confirm, and return the user's id."""
    public = Api("", headers={"X-Tenant-Id": api.tenant})
    body = {"email": email, "password": PASSWORD, "name": name}
    made = public.post("/api/users/signup", body)
    user_id = str(made.json["id"])
    confirmed = public.post("/api/users/confirm", {"id": user_id, "code": pool.code_of(api.tenant, user_id)})
    assert confirmed.status < 300, confirmed.text
    return user_id


def signed_in(api: Api, email: str = EMAIL) -> Answer:
    """Sign in."""
    public = Api("", headers={"X-Tenant-Id": api.tenant})
    return public.post("/api/users/signin", {"email": email, "password": PASSWORD})


def known(api: Api, number: int = 0) -> str:
    """Know somebody by phone only."""
    body = {"name": NAME, "phone": f"+91987654{3210 + number}", "email": EMAIL}
    return str(api.post(ROUTE, body).json["user"]["id"])


def book(api: Api, venue: str, user: str, day: int = 10, **more: Any) -> dict[str, Any]:
    """Book a hall for a user, with much that says who they are."""
    said = {
        "userId": user,
        "customer": {"name": NAME, "phone": PHONE, "email": EMAIL},
        "specialRequests": "Ramp needed.",
        "meta": {"note": "seating plan of Asha"},
        "guestCount": 20,
    }
    when = {"startTs": f"2030-06-{day}T18:00:00Z", "endTs": f"2030-06-{day}T22:00:00Z"}
    answer = api.post("/api/v1/bookings", {"venueId": venue, **said, **when, **more}, key=f"{user}-{day}")
    assert answer.status == 201, answer.text
    return dict(answer.json["booking"])


def delete(api: Api, user: str) -> Answer:
    return api.delete(f"{ROUTE}/{user}")


def export(api: Api, user: str, query: str = "") -> Answer:
    return api.get(f"{ROUTE}/{user}/export{query}")


def said(aws: Aws) -> list[str]:
    """Return what is still said of somebody, anywhere."""
    text = aws.dump()
    return [word for word in SAID if word in text]


def test_an_export_is_all_that_is_kept(
    api: Api, pool: InMemoryCognito, venue: str, store: Store, clock: HandMovedClock, machines: Machines
) -> None:
    asha = signed_up(api, pool)
    api.patch(f"{ROUTE}/{asha}", {"phone": PHONE})
    buyer = Buyer(api, store, clock, machines)
    bought = buyer.check_out("tok_success", asha)
    deal = api.new_product(max_per_user=5)
    api.reserve(asha, deal, 2)
    booking = book(api, venue, asha)
    ticket = marketplace.new_ticket(api, userId=asha)
    found = export(api.as_user(asha), asha)
    assert found.status == 200, found.text
    data = found.json
    assert data["profile"] | {"created_at": "", "updated_at": ""} == {
        "name": NAME,
        "phone": PHONE,
        "email": EMAIL,
        "role": "customer",
        "has_account": True,
        "signed_out_at": None,
        "created_at": "",
        "updated_at": "",
    }
    assert data["user_id"] == asha
    assert data["limits"][f"taken#{deal}"] == 2
    kinds = sorted((held["items"][0]["kind"], held["id"][0]) for held in data["reservations"])
    assert kinds == [("product", "h"), ("product", "r"), ("venue", "r")]
    [order] = data["orders"]
    assert order["id"] == bought.id
    assert [charge["captured_minor"] for charge in order["charges"]] == [order["captured_minor"]]
    [kept] = data["bookings"]
    assert (kept["number"], kept["customer_name"], kept["customer_phone"]) == (booking["bookingNumber"], NAME, PHONE)
    assert (kept["special_requests"], kept["meta"]) == ("Ramp needed.", {"note": "seating plan of Asha"})
    [listing] = data["listings"]
    assert (listing["id"], listing["title"], listing["price_minor"]) == (ticket["id"], ticket["title"], 500)
    assert data["next"] is None


def parts(api: Api, user: str, limit: int) -> Iterator[dict[str, Any]]:
    """Go through an export part by part."""
    token = ""
    while True:
        answer = export(api, user, f"?limit={limit}{'&next=' * bool(token)}{token}")
        assert answer.status == 200, answer.text
        yield answer.json
        token = answer.json["next"]
        if token is None:
            return


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_parts_are_the_whole(api: Api, pool: InMemoryCognito, venue: str, limit: int) -> None:
    asha = known(api)
    for day in (10, 11, 12):
        book(api, venue, asha, day)
        marketplace.new_ticket(api, userId=asha)
    whole = export(api, asha).json
    sections = ("reservations", "orders", "bookings", "listings")
    found: dict[str, list[Any]] = {section: [] for section in sections}
    for part in parts(api, asha, limit):
        assert (part["profile"], part["limits"]) == (whole["profile"], whole["limits"])
        assert sum(len(part[section]) for section in sections) <= limit
        for section in sections:
            found[section] += part[section]
    assert found == {section: whole[section] for section in sections}
    assert [len(found[section]) for section in sections] == [3, 0, 3, 3]


def test_a_token_of_anothers_export_is_400(api: Api, pool: InMemoryCognito, venue: str) -> None:
    asha, ravi = known(api), known(api, 1)
    for user in (asha, ravi):
        book(api, venue, user, 10 if user == asha else 12)
    token = export(api, asha, "?limit=1").json["next"]
    for target in (f"?next={token}", "?next=x", f"?next={token}A", "?limit=0", "?limit=101"):
        assert export(api, ravi, target).status == 400
    assert export(api, asha, f"?next={token}").status == 200


def test_a_booking_that_came_to_nothing_is_handed_out_and_forgotten_too(
    api: Api, pool: InMemoryCognito, venue: str, aws: Aws, store: Store, clock: HandMovedClock
) -> None:
    """Its reservation is gone after a while, by its time to live; what it said of somebody is not."""
    asha = known(api)
    booking = book(api, venue, asha)
    key = Keys(api.tenant).by_view_id("b", booking["id"])
    assert key is not None
    aws.dynamodb.delete_item(TableName="holdfast-main", Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}})
    [kept] = export(api, asha).json["bookings"]
    assert kept["customer_name"] == NAME
    assert delete(api, asha).status == 200
    assert said(aws) == []


def test_nothing_says_any_more_who_was_deleted(
    api: Api, pool: InMemoryCognito, venue: str, aws: Aws, store: Store, clock: HandMovedClock, machines: Machines
) -> None:
    asha = signed_up(api, pool)
    api.patch(f"{ROUTE}/{asha}", {"phone": PHONE})
    assert signed_in(api).status == 200
    bought = Buyer(api, store, clock, machines).check_out("tok_success", asha)
    booking = book(api, venue, asha)
    held = api.post(f"/api/v1/bookings/{booking['id']}/confirm", {}, key="confirmed")
    assert held.json["booking"]["customer"]["name"] == NAME
    answer = delete(api.as_user(asha), asha)
    assert (answer.status, answer.json) == (200, {"success": True})
    assert said(aws) == []
    assert pool.users == {}
    kinds = [item["pk"]["S"].split("#")[1] for item in aws.items(IDENTITY)]
    assert not {"PEOPLE", "PHONES", "EMAILS", "SESSIONS", "SIGNUPS"} & set(kinds)
    assert api.get(f"{ROUTE}/{asha}").code == "user_not_found"
    assert (delete(api, asha).status, signed_in(api).code) == (404, "bad_credentials")
    assert api.get(f"/api/v1/orders/{bought.id}").json["status"] == "completed"
    shown = api.get(f"/api/v1/bookings/{booking['id']}").json["booking"]
    assert shown["customer"] == {"id": asha, "name": None, "phone": None, "email": None}
    assert (shown["specialRequests"], shown["status"], shown["guestCount"]) == (None, "confirmed", 20)


def test_what_repeated_bookings_are_answered_is_without_who_was_deleted(
    api: Api, pool: InMemoryCognito, venue: str
) -> None:
    asha = known(api)
    first = book(api, venue, asha)
    assert book(api, venue, asha) == first
    delete(api, asha)
    again = book(api, venue, asha)
    assert again["customer"] == {"id": asha, "name": None, "phone": None, "email": None}
    assert (again["id"], again["status"]) == (first["id"], first["status"])


def test_what_repeated_users_are_answered_is_without_who_was_deleted(api: Api, pool: InMemoryCognito, aws: Aws) -> None:
    body = {"name": NAME, "phone": PHONE, "email": EMAIL}
    asha = api.post(ROUTE, body, key="k").json["user"]["id"]
    assert api.post(ROUTE, body, key="k").json["user"]["id"] == asha
    assert delete(api, asha).status == 200
    assert said(aws) == []
    again = api.post(ROUTE, body, key="k")
    assert (again.status, again.code) == (404, "user_not_found")
    assert said(aws) == []


@pytest.mark.parametrize("customer", [{"customer": None}, {}, {"userId": None}], ids=["by id", "both", "by phone"])
def test_a_booking_that_is_made_while_its_customer_is_deleted_says_nothing_of_them(
    api: Api, pool: InMemoryCognito, venue: str, aws: Aws, monkeypatch: pytest.MonkeyPatch, customer: dict[str, Any]
) -> None:
    asha = known(api)
    made = bookings.book

    def late(engine: Engine, wish: bookings.Wish) -> Booking:
        assert delete(api, asha).status == 200
        return made(engine, wish)

    monkeypatch.setattr(bookings, "book", late)
    found = book(api, venue, asha, **customer)
    assert said(aws) == []
    assert api.get(f"/api/v1/bookings/{found['id']}").json["booking"]["customer"]["id"] == asha


def test_a_booking_that_is_made_just_before_its_customer_is_gone_says_nothing_of_them(
    api: Api, pool: InMemoryCognito, venue: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bookings were gone through, and before the person went, who made it still found them there."""
    asha = known(api)
    gone_through, made = halls.delete_of, count()

    def late(engine: Engine, tenant: str, user: str) -> int:
        changed = gone_through(engine, tenant, user)
        if next(made) == 0:
            book(api, venue, asha)
        return changed

    monkeypatch.setattr(halls, "delete_of", late)
    assert delete(api, asha).status == 200
    assert said(aws) == []


def test_a_deletion_touches_nobody_else(api: Api, pool: InMemoryCognito, venue: str, aws: Aws) -> None:
    """Not even one whose account has the address that was known of who is deleted."""
    asha, ravi = signed_up(api, pool), known(api)
    theirs, his = book(api, venue, asha, 10), book(api, venue, ravi, 12)
    assert delete(api, ravi).status == 200
    assert api.get(f"/api/v1/bookings/{theirs['id']}").json["booking"]["customer"]["name"] == NAME
    assert api.get(f"/api/v1/bookings/{his['id']}").json["booking"]["customer"]["name"] is None
    assert signed_in(api).status == 200
    assert list(pool.users) == [(api.tenant, asha)]


def test_the_phone_and_the_address_are_free_again(api: Api, pool: InMemoryCognito) -> None:
    asha = signed_up(api, pool)
    api.patch(f"{ROUTE}/{asha}", {"phone": PHONE})
    delete(api, asha)
    other = signed_up(api, pool)
    assert other != asha
    assert api.patch(f"{ROUTE}/{other}", {"phone": PHONE}).status == 200


def test_one_whose_order_is_being_paid_is_deleted_afterwards(
    api: Api, pool: InMemoryCognito, aws: Aws, store: Store, clock: HandMovedClock, machines: Machines
) -> None:
    asha = signed_up(api, pool)
    buyer = Buyer(api, store, clock, machines)
    order = buyer.check_out("tok_confirm", asha)
    assert order.status == "awaiting_payment"
    before = aws.dump()
    answer = delete(api.as_user(asha), asha)
    assert (answer.status, answer.code, answer.json["order_id"]) == (409, "checkout_under_way", order.id)
    assert (aws.dump(), len(pool.users)) == (before, 1)
    buyer.cancel()
    assert delete(api.as_user(asha), asha).status == 200


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_deletion_whose_pool_does_not_answer_is_finished_by_the_same_call(
    api: Api, pool: InMemoryCognito, aws: Aws, venue: str, when: str
) -> None:
    asha = signed_up(api, pool)
    book(api, venue, asha)

    def fail() -> None:
        raise TimeoutError

    with pool.hooked(when, "admin_delete_user", fail):
        assert delete(api, asha).status == 500
    assert signed_in(api).code == "bad_credentials"
    assert delete(api, asha).status == 200
    assert (said(aws), pool.users) == ([], {})


def test_a_deletion_that_is_cut_off_is_finished_by_the_same_one(
    api: Api, pool: InMemoryCognito, aws: Aws, venue: str, identity_store: Store
) -> None:
    numbers, directory = count(), Directory(identity_store)

    def somebody() -> str:
        number = next(numbers)
        asha: str = people.account_of(directory, api.tenant, EMAIL, NAME, people.Role.CUSTOMER).user_id
        user_pool.connect("pool").invite(api.tenant, asha, EMAIL)
        api.patch(f"{ROUTE}/{asha}", {"phone": PHONE})
        directory.store.write(Put(SessionItem(*Keys(api.tenant).session(asha, "r"), user_id=asha, started_at=1, ttl=1)))
        book(api, venue, asha, 10 + number, endTs=f"2030-06-{10 + number}T20:00:00Z")
        return asha

    def is_gone(asha: str, answer: Answer) -> None:
        assert answer.status in (200, 404), "the person may have gone with the last call"
        assert (said(aws), pool.users) == ([], {})
        assert [item["pk"]["S"] for item in aws.items(IDENTITY)] == [f"{api.tenant}#TENANT"]

    assert die_everywhere(somebody, lambda asha: delete(api, asha), is_gone) >= 8


def test_sign_ins_are_over_with_the_first_step(
    api: Api, pool: InMemoryCognito, monkeypatch: pytest.MonkeyPatch, identity_store: Store
) -> None:
    """Where money moves a token is looked at anew, so that it is dead at once, whatever else was not done yet."""
    asha = signed_up(api, pool)
    monkeypatch.setattr(revocation, "looked_at_anew", looked_at_anew)
    checkout = "/api/v1/reservations/r-x/checkout"
    assert api.as_user(asha).post(checkout, {}, key="k").status == 404
    people.close_account(Directory(identity_store), api.tenant, asha)
    assert api.as_user(asha).post(checkout, {}, key="k").code == "unauthorized"


ROLES = ("customer", "staff", "service", "admin", "operator")


@pytest.mark.parametrize("roles", ROLES)
def test_who_may_ask_for_what_is_kept_of_whom(api: Api, pool: InMemoryCognito, aws: Aws, roles: str) -> None:
    asha = known(api)
    before = aws.dump()
    own = api.as_user(asha).with_roles(roles)
    other = api.as_user("ravi").with_roles(roles)
    expected = {"customer": (200, 404), "staff": (200, 403), "service": (403, 403), "admin": (200, 200)}
    assert (export(own, asha).status, export(other, asha).status) == expected.get(roles, (403, 403))
    if roles != "admin":
        assert delete(other, asha).status == expected.get(roles, (403, 403))[1]
        assert aws.dump() == before
    if roles in ("staff", "customer"):
        assert delete(own, asha).status == 200


def test_another_tenants_user_is_nobody(api: Api, pool: InMemoryCognito, aws: Aws, venue: str) -> None:
    asha = signed_up(api, pool)
    book(api, venue, asha)
    other = Api(f"{api.tenant}x")
    before = aws.dump()
    for answer in (delete(other, asha), export(other, asha), delete(other.as_user(asha), asha)):
        assert (answer.status, answer.code) == (404, "user_not_found")
    assert (aws.dump(), len(pool.users)) == (before, 1)


def test_an_admin_deletes_other_admins_but_not_themselves(api: Api, pool: InMemoryCognito, aws: Aws) -> None:
    boss, other = known(api), known(api, 1)
    for user in (boss, other):
        api.patch(f"{ROUTE}/{user}", {"role": "admin"})
    own = api.as_user(boss).with_roles("admin")
    before = aws.dump()
    assert (delete(own, boss).status, aws.dump()) == (403, before)
    assert delete(own, other).status == 200


def test_an_admins_key_for_users_alone_deletes_customers_only(api: Api, pool: InMemoryCognito, aws: Aws) -> None:
    boss, asha = known(api), known(api, 1)
    api.patch(f"{ROUTE}/{boss}", {"role": "staff"})
    key = Api(api.tenant, roles="admin", scopes="users:write")
    before = aws.dump()
    assert (delete(key, boss).status, aws.dump()) == (403, before)
    assert delete(key, asha).status == 200
    assert delete(Api(api.tenant, roles="admin", scopes="orders:write"), boss).status == 403


def test_an_id_that_a_service_chose_is_the_tenants(api: Api, pool: InMemoryCognito, aws: Aws, venue: str) -> None:
    """It names nobody here; what its bookings say of somebody is handed out, and deleted, all the same."""
    book(api, venue, "ada")
    found = export(api, "ada").json
    assert (found["profile"], len(found["bookings"])) == (None, 1)
    assert delete(api, "ada").status == 200
    assert said(aws) == []
    assert delete(api, "ada").status == 404
    assert len(export(api, "ada").json["reservations"]) == 1


@pytest.mark.parametrize("user", ["0" * 24, "ada", "x" * 128])
def test_nobody_is_404(api: Api, pool: InMemoryCognito, aws: Aws, user: str) -> None:
    before = aws.dump()
    for answer in (delete(api, user), export(api, user), export(api.as_user("ravi"), user)):
        assert (answer.status, answer.code) == (404, "user_not_found")
    assert (aws.dump(), pool.calls) == (before, [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_invitation_that_meets_a_deletion_leaves_nothing_behind(
    api: Api, pool: InMemoryCognito, aws: Aws, when: str
) -> None:
    asha = known(api)
    with pool.hooked(when, "admin_create_user", lambda: assert_deleted(api, asha)):
        invited = api.post(f"{ROUTE}/{asha}/invite")
    assert (invited.status, invited.code) == (404, "user_not_found")
    assert (said(aws), pool.users) == ([], {})


def assert_deleted(api: Api, user: str) -> None:
    assert delete(api, user).status == 200


def test_a_person_who_is_invited_while_they_are_deleted_is_deleted_all_the_same(
    api: Api, pool: InMemoryCognito, aws: Aws
) -> None:
    asha = signed_up(api, pool)
    invited: list[int] = []

    def invite() -> None:
        if not invited:
            invited.append(api.post(f"{ROUTE}/{asha}/invite").status)

    with pool.hooked("after", "admin_delete_user", invite):
        assert delete(api, asha).status == 200
    assert invited == [202]
    assert (said(aws), pool.users) == ([], {})


def test_an_address_that_changes_while_its_user_is_deleted_is_free_again(
    api: Api, pool: InMemoryCognito, aws: Aws
) -> None:
    asha = signed_up(api, pool)

    def move() -> None:
        api.patch(f"{ROUTE}/{asha}", {"email": "asha@example.org", "phone": "+919876543211"})

    with pool.hooked("after", "admin_delete_user", move):
        assert delete(api, asha).status == 200
    assert json.dumps([item for item in aws.items(IDENTITY) if asha in json.dumps(item)]) == "[]"
    assert said(aws) == []
