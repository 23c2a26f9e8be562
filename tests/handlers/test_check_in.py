"""Tickets at the door: each is let in once, by whoever may, and nothing else is."""

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from holdfast.checkout import ticket_keys, tickets
from holdfast.checkout.ticket_keys import REMEMBERED, KeyPair, TicketSigner
from holdfast.checkout.tickets import Ticket
from holdfast.platform import secrets
from holdfast.platform.clock import SystemClock, to_text
from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.errors import Busy, Unavailable
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import OrderItem
from holdfast.platform.signing_keys import ParameterStore
from holdfast.platform.tables import Key, Keys
from tests.door import gate
from tests.handlers.account import Aws, HandMovedClock
from tests.handlers.gateway import Answer, Api, event, send

ROUTE, KEYS = "/api/v1/check-in", "/api/v1/check-in/keys"
PREFIX = "/holdfast-test"


@pytest.fixture(autouse=True)
def _cold() -> None:
    """Nobody has a client of an account that is gone."""
    secrets.client.cache_clear()


class Box:
    """Sells tickets without a checkout, and signs them as the orders' function does."""

    def __init__(self, api: Api, store: Store) -> None:
        self.api = api
        self.store = store
        self.signer = TicketSigner(store, ParameterStore(PREFIX), SystemClock())

    def sell(self, *lines: LineMap, buyer: str = "alice", status: str = "completed") -> Key:
        """Write an order; return its key."""
        key = Keys(self.api.tenant).order(buyer, uuid.uuid4().hex)
        order = OrderItem(
            *key,
            user_id=buyer,
            reservation_id="r",
            status=status,
            attempt=1,
            lines=list(lines),
            returned=[0] * len(lines),
            currency="EUR",
            total_minor=500,
            provider="external",
            version=1,
            created_at=1,
            updated_at=1,
        )
        self.store.write(Put(order))
        return key

    def order(self, key: Key) -> OrderItem:
        """Return an order as it is stored."""
        order = self.store.get(OrderItem, key)
        assert order is not None
        return order

    def tickets(self, key: Key) -> list[Ticket]:
        """Return an order's tickets."""
        return tickets.codes_of(self.order(key), self.signer)

    def change(self, key: Key, **changes: Any) -> None:
        """Write other values into an order."""
        order = self.order(key)
        for name, value in changes.items():
            setattr(order, name, value)
        self.store.write(Put(order))


@pytest.fixture
def box(api: Api, store: Store) -> Box:
    return Box(api, store)


def line(kind: str, quantity: int = 1, **names: Any) -> LineMap:
    return LineMap(kind=kind, quantity=quantity, unit_price_minor=500, currency="EUR", counted=False, **names)


def standing(quantity: int = 1) -> LineMap:
    return line("ticket", quantity, event_id="1", ticket_type_id="2")


def seat() -> LineMap:
    return line("seat", event_id="1", ticket_type_id="1", row="A", seat="7")


def resale() -> LineMap:
    return line("listing", ticket_id="19a9f5c1c3a0123456789abc", title="Row 3")


def check_in(api: Api, code: str, **options: Any) -> Answer:
    return api.post(ROUTE, {"code": code}, **options)


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def keys_of(tenant: str) -> Any:
    return send(event("GET", KEYS, headers={"X-Tenant-Id": tenant}))


def test_a_ticket_is_let_in_and_said_to_be_what_it_is(api: Api, box: Box, clock: HandMovedClock) -> None:
    key = box.sell(standing(2), seat(), resale())
    nothing = {"event_id": None, "ticket_type_id": None, "row": None, "seat": None, "ticket_id": None, "title": None}
    whose = {"order_id": box.order(key).id, "user_id": "alice", "admitted_at": to_text(clock.milliseconds)}
    said = [check_in(api, ticket.code) for ticket in box.tickets(key)]
    assert [answer.status for answer in said] == [200] * 4
    counted = nothing | whose | {"kind": "ticket", "line": 0, "event_id": "1", "ticket_type_id": "2"}
    assert said[0].json == counted | {"number": 0}
    assert said[1].json == counted | {"number": 1}
    assert said[2].json == nothing | whose | {
        "kind": "seat",
        "line": 1,
        "number": 0,
        "event_id": "1",
        "ticket_type_id": "1",
        "row": "A",
        "seat": "7",
    }
    assert said[3].json == nothing | whose | {
        "kind": "listing",
        "line": 2,
        "number": 0,
        "ticket_id": "19a9f5c1c3a0123456789abc",
        "title": "Row 3",
    }


def test_the_order_knows_who_was_let_in_and_its_version_rises_each_time(
    api: Api, box: Box, clock: HandMovedClock
) -> None:
    key = box.sell(standing(2))
    _, second = box.tickets(key)
    check_in(api, second.code)
    order = box.order(key)
    assert order.admissions() == {"0-1": clock.milliseconds}
    assert (order.version, order.updated_at) == (2, clock.milliseconds)
    assert [ticket.admitted_at for ticket in box.tickets(key)] == [None, clock.milliseconds]


@pytest.mark.parametrize("roles", ["staff", "admin", "service", "staff service"])
def test_staff_admins_and_services_let_in(api: Api, box: Box, roles: str) -> None:
    (ticket,) = box.tickets(box.sell(standing()))
    assert check_in(api.with_roles(roles), ticket.code).status == 200


def test_nobody_else_does_not_even_for_their_own(api: Api, box: Box, aws: Aws) -> None:
    (ticket,) = box.tickets(box.sell(standing(), buyer="alice"))
    before = aws.dump()
    assert refusal(check_in(api.as_user("alice"), ticket.code)) == (403, "forbidden")
    assert send(event("POST", ROUTE, text=json.dumps({"code": ticket.code}))).status == 401
    assert aws.dump() == before


def test_a_second_time_is_409_and_says_when_the_first_was(api: Api, box: Box, clock: HandMovedClock) -> None:
    (ticket,) = box.tickets(box.sell(standing()))
    first = check_in(api, ticket.code)
    clock.advance(60)
    for options in ({}, {"key": "k"}):
        again = check_in(api, ticket.code, **options)
        assert refusal(again) == (409, "already_admitted")
        assert again.json["admitted_at"] == first.json["admitted_at"]


def test_the_same_key_and_code_give_the_same_answer_whatever_became_of_the_order_since(
    api: Api, box: Box, aws: Aws, clock: HandMovedClock
) -> None:
    """PROTOCOL 3: a replay is computed from the record."""
    key = box.sell(standing(2))
    first, second = box.tickets(key)
    answer = check_in(api, first.code, key="k")
    clock.advance(60)
    box.change(key, status="refunded", returned=[2])
    before = aws.dump()
    assert check_in(api, first.code, key="k").json == answer.json
    assert refusal(check_in(api, first.code, key="other")) == (409, "already_admitted")
    assert refusal(check_in(api, second.code, key="other")) == (409, "ticket_not_valid")
    assert aws.dump() == before


def test_the_same_key_with_another_code_is_422(api: Api, box: Box, aws: Aws) -> None:
    first, second = box.tickets(box.sell(standing(2)))
    check_in(api, first.code, key="k")
    before = aws.dump()
    assert refusal(check_in(api, second.code, key="k")) == (422, "idempotency_key_reused")
    assert aws.dump() == before
    assert check_in(api, second.code, key="l").status == 200
    assert refusal(check_in(api, second.code, key="k")) == (422, "idempotency_key_reused")


def test_a_refusal_is_not_remembered(api: Api, box: Box) -> None:
    key = box.sell(standing(), status="awaiting_payment")
    box.change(key, status="completed")
    (ticket,) = box.tickets(key)
    box.change(key, status="awaiting_payment")
    assert refusal(check_in(api, ticket.code, key="k")) == (409, "ticket_not_valid")
    box.change(key, status="completed")
    assert check_in(api, ticket.code, key="k").status == 200


def test_what_was_given_back_is_not_let_in_and_what_was_kept_is(api: Api, box: Box) -> None:
    key = box.sell(standing(3), seat())
    kept, *given_back, seated = box.tickets(key)
    box.change(key, status="partially_refunded", returned=[2, 1])
    for ticket in (*given_back, seated):
        assert refusal(check_in(api, ticket.code)) == (409, "ticket_not_valid")
    assert check_in(api, kept.code).status == 200


@pytest.mark.parametrize(
    "status", ["pending", "awaiting_payment", "payment_failed", "expired", "cancelled", "failed", "refunded"]
)
def test_an_order_that_is_not_paid_for_lets_nobody_in(api: Api, box: Box, status: str) -> None:
    key = box.sell(standing())
    (ticket,) = box.tickets(key)
    box.change(key, status=status)
    assert refusal(check_in(api, ticket.code)) == (409, "ticket_not_valid")


def test_another_tenants_code_is_none(api: Api, box: Box, store: Store, aws: Aws) -> None:
    (ticket,) = box.tickets(box.sell(standing()))
    other = Api(tenant=f"{api.tenant}-too")
    Box(other, store).tickets(Box(other, store).sell(standing()))
    before = aws.dump()
    assert refusal(check_in(other, ticket.code)) == (400, "ticket_code_invalid")
    assert aws.dump() == before


def test_a_good_code_of_an_order_that_is_gone_is_none(api: Api, box: Box, aws: Aws) -> None:
    key = box.sell(standing())
    (ticket,) = box.tickets(key)
    aws.dynamodb.delete_item(TableName="holdfast-main", Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}})
    assert refusal(check_in(api, ticket.code)) == (400, "ticket_code_invalid")


@pytest.mark.parametrize("code", ["x", "HF1", "HF1..", "HF1.e30." + "A" * 86, "HF1.W10." + "A" * 86, "é" * 300, " "])
def test_any_other_text_is_400(api: Api, box: Box, code: str) -> None:
    box.tickets(box.sell(standing()))
    assert refusal(check_in(api, code)) == (400, "ticket_code_invalid")


@pytest.mark.parametrize("code", [None, 17, "", "x" * 301, [], {}])
def test_what_is_no_code_at_all_names_the_field(api: Api, code: Any) -> None:
    answer = api.post(ROUTE, {"code": code})
    assert refusal(answer) == (400, "validation_failed")
    assert set(answer.faults()) == {"code"}


def test_unknown_fields_are_refused(api: Api) -> None:
    assert api.post(ROUTE, {"code": "x", "gate": 1}).faults() == {"gate": "extra_forbidden"}


def test_anybody_may_have_the_keys_and_with_them_read_codes_offline(api: Api, box: Box) -> None:
    """By the very program of the README."""
    assert keys_of(api.tenant).json == {"keys": []}
    key = box.sell(standing(), seat())
    codes = [ticket.code for ticket in box.tickets(key)]
    jwks = keys_of(api.tenant).json
    assert [gate()(code, jwks) for code in codes] == [
        (box.order(key).id, 0, 0, ["1", "2"]),
        (box.order(key).id, 1, 0, ["1", "1", "A", "7"]),
    ]
    assert api.get(KEYS, headers={"X-Tenant-Id": api.tenant}).json == jwks
    assert send(event("GET", KEYS)).code == "tenant_required"


def test_asking_for_keys_makes_none(api: Api, aws: Aws) -> None:
    """A public route that made keys would fill the Parameter Store for whoever asks."""
    before = aws.dump()
    assert keys_of(api.tenant).json == {"keys": []}
    assert keys_of("nobody").code == "tenant_not_found"
    assert aws.dump() == before
    assert (_stored(api.tenant), _stored("nobody")) == (None, None)


def test_the_private_key_is_made_once_encrypted_and_shown_to_nobody(api: Api, box: Box, aws: Aws) -> None:
    assert _stored(api.tenant) is None
    box.tickets(box.sell(standing()))
    stored = _stored(api.tenant)
    assert stored is not None
    assert stored["Type"] == "SecureString"
    secret = json.loads(stored["Value"])["d"]
    assert secret not in aws.dump() + keys_of(api.tenant).text
    Box(api, box.store).tickets(box.sell(standing()))
    assert _stored(api.tenant) == stored
    assert len(keys_of(api.tenant).json["keys"]) == 1


def test_of_two_that_find_no_key_the_first_ones_is_everybodys(api: Api, box: Box, monkeypatch: Any) -> None:
    """Both looked before either wrote."""
    other = ParameterStore(PREFIX)
    first = other.of(api.tenant, lambda: KeyPair.generate().to_text())
    client = secrets.client()
    blind = iter([True])

    def get_parameter(**arguments: Any) -> Any:
        if next(blind, False):
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return client.get_parameter(**arguments)

    class Late:
        def __init__(self) -> None:
            self.get_parameter, self.put_parameter = get_parameter, client.put_parameter

    monkeypatch.setattr(secrets, "client", Late)
    assert box.signer.pair_of(api.tenant).to_text() == first


def test_codes_of_a_key_that_was_replaced_stay_good(api: Api, box: Box, clock: HandMovedClock) -> None:
    first, second = box.tickets(box.sell(standing(2)))
    boto3.client("ssm").delete_parameter(Name=f"{PREFIX}/tickets/{api.tenant}")
    (unaware,) = box.tickets(box.sell(standing()))
    clock.advance(REMEMBERED / 1000)
    (new,) = box.tickets(box.sell(standing()))
    kids = [json.loads(ticket_keys.decoded(t.code.split(".")[1]))[0] for t in (first, second, unaware, new)]
    assert kids[0] == kids[1] == kids[2] != kids[3]
    assert {key["kid"] for key in keys_of(api.tenant).json["keys"]} == {kids[0], kids[3]}
    for ticket in (first, second, unaware, new):
        assert check_in(api, ticket.code).status == 200


def test_a_public_key_that_is_taken_away_makes_its_codes_worthless(api: Api, box: Box, aws: Aws) -> None:
    (ticket,) = box.tickets(box.sell(standing()))
    (kid,) = (key["kid"] for key in keys_of(api.tenant).json["keys"])
    key = Keys(api.tenant).ticket_key(kid)
    aws.dynamodb.delete_item(TableName="holdfast-main", Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}})
    assert refusal(check_in(api, ticket.code)) == (400, "ticket_code_invalid")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter"), Busy),
        (ConnectTimeoutError(endpoint_url="https://ssm"), Unavailable),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetParameter"), ClientError),
    ],
)
def test_a_key_that_cannot_be_had_is_said_to_be_so(box: Box, monkeypatch: Any, fault: Exception, answer: Any) -> None:
    class Faulty:
        def get_parameter(self, **_: Any) -> Any:
            raise fault

    monkeypatch.setattr(secrets, "client", Faulty)
    key = box.sell(standing())
    with pytest.raises(answer):
        box.tickets(key)


def test_a_key_that_is_there_and_cannot_be_read_is_busy(api: Api, box: Box, monkeypatch: Any) -> None:
    class Lagging:
        def get_parameter(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")

        def put_parameter(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ParameterAlreadyExists"}}, "PutParameter")

    monkeypatch.setattr(secrets, "client", Lagging)
    with pytest.raises(Busy):
        box.signer.pair_of(api.tenant)


def test_checking_in_asks_the_parameter_store_nothing(api: Api, box: Box, monkeypatch: Any) -> None:
    (ticket,) = box.tickets(box.sell(standing()))
    monkeypatch.setattr(secrets, "client", None)
    assert check_in(api, ticket.code).status == 200
    assert keys_of(api.tenant).status == 200


def _stored(tenant: str) -> Any:
    try:
        found = boto3.client("ssm").get_parameter(Name=f"{PREFIX}/tickets/{tenant}", WithDecryption=True)
    except ClientError:
        return None
    return {name: found["Parameter"][name] for name in ("Type", "Value", "Version")}
