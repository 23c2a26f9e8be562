"""Every file in events/ handed to the function it is for, as built: first what succeeds, in the order of a sale."""

import json
import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any, cast

import boto3
import pytest

from holdfast.catalogue.products.facts import ProductFacts
from holdfast.partners.sheets import Sheets
from holdfast.platform.access import ROUTES
from holdfast.platform.clock import SystemClock
from holdfast.platform.credentials import digest_of, read_key
from holdfast.platform.dynamodb import Put, Store, connect
from holdfast.platform.identity_items import (
    EmailItem,
    PersonItem,
    PhoneItem,
    ServiceKeyItem,
    SessionItem,
    SignUpItem,
    TenantItem,
)
from holdfast.platform.items import LineMap, ListedItem, ListingItem, PoolShardItem, ReservationItem
from holdfast.platform.order_items import OrderItem
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncRunItem
from holdfast.platform.tables import IDENTITY_SCHEMA, SYNC_SCHEMA, TABLE_SCHEMA, Keys
from holdfast.reservations.engine import Engine, LineRequest
from holdfast.reservations.holding import HoldRequest, hold
from local.build import ROOT
from local.lambda_runtime import BuiltFunction
from local.stack import Stack, free_port
from tests.handlers.user_pool import totp
from tests.infrastructure import emulated_workflows
from tests.infrastructure.event_cases import (
    ACCESS_TOKEN,
    ALL,
    ANOTHER_ACCESS_TOKEN,
    ANOTHER_KEY,
    ANOTHER_TICKET,
    ANSWERED,
    AUTHORIZED,
    CODE,
    CONSUMED,
    INVITED,
    KEY,
    LAPSED_AT,
    LEAVER,
    MEMBER,
    OPERATORS_KEY,
    PAIR_QUEUED_AT,
    PARTNERS,
    PASSWORD,
    PERSON,
    PURCHASE,
    RAZORPAY,
    REFRESH_TOKEN,
    RUN,
    SIGNING_KEY,
    SIGNING_UP,
    SUSPENDED_KEY,
    TICKET,
)

EVENTS = ROOT / "events"
_TIMES = {"created_at": 1_772_359_200_000, "updated_at": 1_772_359_200_000}
Answers = dict[str, Any]


class _LongAgo:
    """A clock that stands ten minutes before a moment long past."""

    def now(self) -> int:
        return LAPSED_AT - 600_000


@pytest.fixture(scope="module", name="aws")
def _aws() -> Iterator[dict[str, str]]:
    """An emulated AWS with the tables and queues; yields what the template's references name, and its endpoint."""
    stack = Stack(free_port())
    try:
        stack.start()
        named = {"endpoint": stack.endpoint_url}
        dynamodb, sqs = stack.client("dynamodb"), stack.client("sqs")
        tables = {"Table": TABLE_SCHEMA, "IdentityTable": IDENTITY_SCHEMA, "SyncTable": SYNC_SCHEMA}
        for name, schema in tables.items():
            named[name] = f"holdfast-{name}"
            declared = {key: value for key, value in schema.items() if not key.endswith("Specification")}
            dynamodb.create_table(TableName=named[name], **declared)
        named["Partners"] = json.dumps(PARTNERS)
        for name in ("ExpiryQueue", "DeadLetterQueue", "SyncQueue"):
            named[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
        for name, value in {"payments/demo/razorpay": RAZORPAY, "tickets/demo": SIGNING_KEY}.items():
            stack.client("ssm").put_parameter(Name=f"/holdfast/{name}", Value=json.dumps(value), Type="SecureString")
        cognito = stack.client("cognito-idp")
        named["UserPool"] = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
        client = cognito.create_user_pool_client(
            UserPoolId=named["UserPool"],
            ClientName="accounts",
            GenerateSecret=True,
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )
        named["UserPoolClient"] = client["UserPoolClient"]["ClientId"]
        named["UserPool.ProviderName"] = f"cognito-idp.us-east-1.amazonaws.com/{named['UserPool']}"
        emulated_workflows.make(stack, **named)
        with stack.environment():
            yield named
    finally:
        stack.stop()
        stack.forget()


@pytest.fixture(scope="module", name="store")
def _store(aws: dict[str, str]) -> Store:
    return connect(aws["Table"])


@pytest.fixture(scope="module", name="answers")
def _answers(aws: dict[str, str], store: Store) -> Answers:
    """What the functions answered to all events, each function started cold wherever it is another's turn."""
    identity_store = connect(aws["IdentityTable"])
    for tenant, status in (("demo", "open"), ("operator", "open"), ("closed", "suspended")):
        record = Keys(tenant).tenant_record()
        identity_store.write(Put(TenantItem(*record, name=tenant, status=status, settings="{}", version=1, **_TIMES)))
    for text, roles in (
        (KEY, {"admin", "service", "staff"}),
        (ANOTHER_KEY, {"service"}),
        (OPERATORS_KEY, {"operator"}),
        (SUSPENDED_KEY, {"service"}),
    ):
        kept = Keys(read_key(text)[0]).service_key(digest_of(text))
        identity_store.write(Put(ServiceKeyItem(*kept, label="events", roles=roles, created_at=0)))
    _know_what_no_event_can_name(store, identity_store)
    _know_slots_and_runs(aws)
    known = _have_people(aws, identity_store)
    answers: Answers = {}
    for function, cases in groupby(ALL, lambda case: case.partition("-")[0]):
        if function == "expiry":
            _hold_long_ago(store, "late")
        if function == "sync_fetcher":
            _queue_a_pair(aws)
        names = list(cases)
        if function == "accounts":
            known[CODE] = totp(known[CODE], int(time.time()))
        events = [json.loads(_filled((EVENTS / f"{name}.json").read_text(), known)) for name in names]
        named = {name: value for name, value in aws.items() if name != "endpoint"}
        answers |= dict(zip(names, BuiltFunction(function).invoke(events, aws["endpoint"], **named), strict=True))
        if function == "expiry":
            _hold_long_ago(store, "forgotten")
    return answers


def _filled(text: str, known: dict[str, str]) -> str:
    """Return the text of an event with what is good for some minutes in its place."""
    for placeholder, value in known.items():
        text = text.replace(placeholder, value)
    return text


def _have_people(aws: dict[str, str], identity_store: Store) -> dict[str, str]:
    """Have accounts in every state that the events speak of, and return what stands in them for what is not for long.

    Under CODE is the secret that codes are made of.
    """
    cognito, pool, keys = boto3.client("cognito-idp"), aws["UserPool"], Keys("demo")
    addresses = {MEMBER: "asha", INVITED: "ravi", LEAVER: "nila", "bob": "bob"}
    for user, name in addresses.items():
        email = f"{name}@example.com"
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        username = f"demo.{user}"
        cognito.admin_create_user(
            UserPoolId=pool, Username=username, UserAttributes=attributes, TemporaryPassword=PASSWORD + "9"
        )
        if user != INVITED:
            cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password=PASSWORD, Permanent=True)
        person = {"user_id": user, "name": name, "email": email, "role": "customer", "has_account": True, "version": 1}
        identity_store.write(Put(PersonItem(*keys.person(user), **person, **_TIMES)))
        identity_store.write(Put(EmailItem(*keys.email(email), user_id=user)))
    cognito.sign_up(
        ClientId=aws["UserPoolClient"],
        Username=f"demo.{SIGNING_UP}",
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": "hana@example.com"}],
    )
    waiting = {"email": "hana@example.com", "created_at": 0, "ttl": int(time.time()) + 3_600}
    identity_store.write(Put(SignUpItem(*keys.sign_up(SIGNING_UP), **waiting)))
    signed_in = {user: _signed_in(cognito, aws["UserPoolClient"], user) for user in (MEMBER, "bob")}
    refresh = signed_in[MEMBER]["RefreshToken"]
    session = {"user_id": MEMBER, "started_at": 0, "ttl": int(time.time()) + 3_600}
    identity_store.write(Put(SessionItem(*keys.session(MEMBER, refresh), **session)))
    access = signed_in[MEMBER]["AccessToken"]
    return {
        ACCESS_TOKEN: access,
        ANOTHER_ACCESS_TOKEN: signed_in["bob"]["AccessToken"],
        REFRESH_TOKEN: refresh,
        CODE: cognito.associate_software_token(AccessToken=access)["SecretCode"],
    }


def _signed_in(cognito: Any, client: str, user: str) -> dict[str, str]:
    asked = {"USERNAME": f"demo.{user}", "PASSWORD": PASSWORD}
    answer = cognito.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=asked)
    found: dict[str, str] = answer["AuthenticationResult"]
    return found


def _hold_long_ago(store: Store, user: str) -> None:
    engine = Engine(store, clock=_LongAgo())
    room = ProductFacts(store, engine.clock)
    lines = [LineRequest("product", "items.0", 2, product_id="1")]
    hold(engine, lambda _: room, HoldRequest("demo", user, "reservations", "order-1", "0", lines))


def _know_what_no_event_can_name(store: Store, identity_store: Store) -> None:
    """Put there what gets an id by chance, under the ids that the events speak of."""
    keys = Keys("demo")
    terms = {"revision": 1, "price_minor": 2500, "currency": "USD", "on_sale": True}
    for ticket in (TICKET, ANOTHER_TICKET):
        listing = ListingItem(
            *keys.listing(ticket), title="Opening night, row 3", seller_id="alice", version=1, **terms, **_TIMES
        )
        store.write(Put(listing))
        for place in (keys.listed(ticket), keys.listed_by("alice", ticket)):
            store.write(Put(ListedItem(*place, ticket_id=ticket)))
    line = LineMap(
        kind="seat",
        event_id="1",
        ticket_type_id="1",
        row="1",
        seat="9",
        quantity=1,
        unit_price_minor=8000,
        currency="USD",
        counted=False,
    )
    order = OrderItem(
        *keys.order("7", PURCHASE),
        user_id="7",
        reservation_id="r-none",
        status="completed",
        attempt=1,
        lines=[line],
        returned=[0],
        currency="USD",
        total_minor=8000,
        provider="external",
        version=1,
        **_TIMES,
    )
    store.write(Put(order))
    grace = {"user_id": PERSON, "name": "Grace", "phone": "+4915112345678", "role": "customer", "version": 1}
    identity_store.write(Put(PersonItem(*keys.person(PERSON), **grace, **_TIMES)))
    identity_store.write(Put(PhoneItem(*keys.phone(grace["phone"]), user_id=PERSON)))


def _know_slots_and_runs(aws: dict[str, str]) -> None:
    """Have a partner's slot as it was before its event, and a run of the synchronisation."""
    (record,) = json.loads((EVENTS / "event_recorder-slot.json").read_text())["Records"]
    boto3.client("dynamodb").put_item(TableName=aws["Table"], Item=record["dynamodb"]["OldImage"])
    run = Keys("demo").sync_run(RUN)
    _sync_store(aws).write(Put(SyncRunItem(*run, kind="manual", days=2, started_at=PAIR_QUEUED_AT, ttl=4_102_444_800)))


def _queue_a_pair(aws: dict[str, str]) -> None:
    """Have a pair wanted and queued, which is so far off that nobody asks for it any more."""
    sheets = _sheets(aws)
    sheet = sheets.get("demo", "14")
    assert sheets.want(RUN, [(sheet, ["2099-06-06"])])
    assert sheets.queue(sheets.get("demo", "14"), ["2099-06-06"], PAIR_QUEUED_AT)


def _sheets(aws: dict[str, str]) -> Sheets:
    return Sheets(_sync_store(aws), SystemClock(), Retries())


def _sync_store(aws: dict[str, str]) -> Store:
    return connect(aws["SyncTable"])


def test_every_event_file_is_invoked_here() -> None:
    assert {path.name for path in EVENTS.iterdir()} == {f"{name}.json" for name in ALL}


def test_every_function_has_an_event_of_each_kind() -> None:
    functions = {path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").is_file()}
    assert functions == {name.partition("-")[0] for name in ALL}


def test_every_route_has_an_event_that_succeeds_and_every_private_one_an_event_that_is_refused() -> None:
    document = json.loads((ROOT / "openapi.json").read_text())
    routes = {(path, method) for path, methods in document["paths"].items() for method in methods}
    seen: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for name, status in ANSWERED.items():
        event = json.loads((EVENTS / f"{name}.json").read_text())
        seen[status < 400].add((event["resource"], event["httpMethod"].lower()))
    public = {(path, method.lower()) for path, method in routes if ROUTES[path][method.upper()].is_public}
    assert routes <= seen[True]
    assert routes - public <= seen[False]


@pytest.mark.parametrize("name", ANSWERED)
def test_the_api_answers(name: str, answers: Answers) -> None:
    answer = answers[name]
    assert answer["statusCode"] == ANSWERED[name], answer["body"]
    assert set(answer) == {"statusCode", "body", "isBase64Encoded", "multiValueHeaders"}


@pytest.mark.parametrize("name", AUTHORIZED)
def test_the_authorizer_answers(name: str, answers: Answers) -> None:
    answer = answers[name]
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert (answer["context"].get("tenant"), answer["context"].get("refusal")) == AUTHORIZED[name]


@pytest.mark.parametrize("name", CONSUMED)
def test_messages_are_consumed(name: str, answers: Answers) -> None:
    assert answers[name] == CONSUMED[name]


@pytest.mark.usefixtures("answers")
def test_lapsed_holds_gave_back_what_they_held(store: Store) -> None:
    for user in ("late", "forgotten"):
        held = store.get(ReservationItem, Keys("demo").reservation(user, "reservations", "order-1"))
        assert held is not None
        assert held.status == "expired"
    shard = cast(PoolShardItem, store.get(PoolShardItem, Keys("demo").pool_shard("product.1", 0)))
    assert shard.available + shard.held + shard.sold == shard.total == 60
    assert (shard.held, shard.sold) == (5, 1)


@pytest.mark.usefixtures("answers")
def test_a_pair_that_is_too_far_off_is_wanted_no_more(aws: dict[str, str]) -> None:
    """Today and the 30 days after it still are."""
    sheet = _sheets(aws).get("demo", "14")
    assert "2099-06-06" not in sheet.dates
    assert len(sheet.wanted) == len(sheet.queued) == 31
    run = _sync_store(aws).get(SyncRunItem, Keys("demo").sync_run(RUN))
    assert run is not None
    assert (run.fetched, run.dropped) == (0, 1)


@pytest.mark.usefixtures("answers")
def test_the_stream_sent_its_messages_and_set_the_unreadable_record_aside(aws: dict[str, str]) -> None:
    sqs = boto3.client("sqs")
    counted = {}
    for name in ("ExpiryQueue", "DeadLetterQueue", "SyncQueue"):
        attributes = sqs.get_queue_attributes(QueueUrl=aws[name], AttributeNames=["All"])["Attributes"]
        waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed")
        counted[name] = sum(int(attributes[kind]) for kind in waiting)
    assert counted == {"ExpiryQueue": 2, "DeadLetterQueue": 2, "SyncQueue": 31}
