"""Ticket codes: each says which ticket it is of, and no other text passes for one."""

import json
import re
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkout import tickets
from holdfast.checkout.admitted import admitted_beyond
from holdfast.checkout.states import BOUGHT, OrderState
from holdfast.checkout.ticket_keys import KeyPair, decoded, encoded
from holdfast.checkout.ticket_wire import (
    CODE_EXAMPLE,
    KEY_EXAMPLE,
    KID_EXAMPLE,
    LONGEST_CODE,
    TicketKey,
    TicketKeys,
)
from holdfast.checkout.tickets import Place, code_of, codes_of
from holdfast.platform.errors import CodeRefused
from holdfast.platform.items import LineMap
from holdfast.platform.order_items import OrderItem
from tests.door import gate, program

LIBRARY = Path(__file__).resolve().parents[2] / "layers" / "holdfast"
PAIR, ANOTHER = KeyPair.generate(), KeyPair.generate()
SCANNABLE = r"[A-Za-z0-9._-]+"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
RFC_8037 = (
    '{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
)
ORDER_ID = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"


def thing(kind: str, quantity: int = 1, **names: Any) -> LineMap:
    return LineMap(kind=kind, quantity=quantity, unit_price_minor=500, currency="EUR", counted=False, **names)


def order_of(*lines: LineMap, status: str = "completed", returned: list[int] | None = None) -> OrderItem:
    return OrderItem(
        "acme#U#abcdefghijklmnop",
        "O#0123456789abcdef0123456789abcdef",
        status=status,
        lines=list(lines),
        returned=returned or [0] * len(lines),
    )


class Signer:
    """Signs for one tenant, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.asked = 0

    def pair_of(self, tenant: str) -> KeyPair:
        assert tenant == "acme"
        self.asked += 1
        return PAIR


def found_by(*pairs: KeyPair) -> Any:
    public = {pair.kid: pair.private.public_key() for pair in pairs}
    return public.get


def refused(code: str, tenant: str = "acme", *pairs: KeyPair) -> bool:
    try:
        tickets.read(code, tenant, found_by(*(pairs or (PAIR,))))
    except CodeRefused:
        return True
    return False


TENANTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)
PLACES = st.builds(
    Place,
    order_id=st.from_regex(r"o-[a-z2-7]{16}-[0-9a-f]{32}", fullmatch=True),
    line=st.integers(0, 19),
    number=st.integers(0, 9_999),
)
EVENTS = st.integers(1, 10**9).map(str)
TYPES = st.integers(1, 999).map(str)
LABELS = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)
THINGS = (
    st.builds(thing, st.just("ticket"), event_id=EVENTS, ticket_type_id=TYPES)
    | st.builds(thing, st.just("seat"), event_id=EVENTS, ticket_type_id=TYPES, row=LABELS, seat=LABELS)
    | st.builds(thing, st.just("listing"), ticket_id=st.from_regex("[0-9a-f]{24}", fullmatch=True), title=st.text())
)


@given(TENANTS, PLACES, THINGS)
def test_a_code_comes_back_as_its_ticket_and_can_be_scanned(tenant: str, place: Place, of: LineMap) -> None:
    code = code_of(PAIR, tenant, place, of)
    assert tickets.read(code, tenant, found_by(PAIR)) == place
    assert len(code) <= LONGEST_CODE
    assert re.fullmatch(SCANNABLE, code)


def test_the_longest_code_is_within_the_limit() -> None:
    place = Place(ORDER_ID, 19, 0)
    of = thing("seat", event_id="1234567890", ticket_type_id="123", row="ABCDEFGH", seat="12345678")
    assert len(code_of(PAIR, "t" * 40, place, of)) <= LONGEST_CODE == 300


@given(PLACES, THINGS, st.data())
def test_a_code_with_any_one_character_changed_is_refused(place: Place, of: LineMap, data: st.DataObject) -> None:
    """Also the last of its parts, of which base64 itself does not read every bit."""
    code = code_of(PAIR, "acme", place, of)
    ends = [len(code) - 1, code.rindex(".") - 1]
    at = data.draw(st.integers(0, len(code) - 1) | st.sampled_from(ends))
    other = data.draw(st.sampled_from([letter for letter in f"{LETTERS}=+/ \né" if letter != code[at]]))
    assert refused(code[:at] + other + code[at + 1 :])


def test_a_code_with_its_last_character_changed_to_any_other_is_refused() -> None:
    code = code_of(PAIR, "acme", Place(ORDER_ID, 0, 0), thing("ticket", event_id="1", ticket_type_id="1"))
    for at in (len(code) - 1, code.rindex(".") - 1):
        assert all(refused(code[:at] + letter + code[at + 1 :]) for letter in LETTERS if letter != code[at])


@given(PLACES, THINGS, st.data())
def test_a_code_cut_lengthened_or_padded_is_refused(place: Place, of: LineMap, data: st.DataObject) -> None:
    code = code_of(PAIR, "acme", place, of)
    at = data.draw(st.integers(0, len(code) - 1))
    more = data.draw(st.text(f"{LETTERS}= \n", min_size=1, max_size=8))
    assert refused(code[:at])
    assert refused(code[:at] + code[at + 1 :])
    assert refused(code + more)
    assert refused(more + code)


@given(st.text(max_size=320) | st.from_regex(r"HF1\.[A-Za-z0-9_-]{8,200}\.[A-Za-z0-9_-]{86}", fullmatch=True))
def test_no_other_text_is_a_code(text: str) -> None:
    assert refused(text)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=9)


@given(JSON)
def test_a_payload_of_any_shape_under_a_signature_of_ours_or_none_is_refused(value: Any) -> None:
    payload = encoded(json.dumps(value).encode())
    assert refused(f"HF1.{payload}.{encoded(bytes(64))}")


@given(TENANTS, PLACES, THINGS)
def test_a_foreign_tenants_code_is_refused(tenant: str, place: Place, of: LineMap) -> None:
    """By its key, which is not ours; and by its name, should the key be the same."""
    foreign = code_of(ANOTHER, tenant, place, of)
    assert refused(foreign, "acme")
    if tenant != "acme":
        assert refused(code_of(PAIR, tenant, place, of), "acme")


@given(PLACES, THINGS)
def test_a_code_signed_with_another_key_under_the_name_of_ours_is_refused(place: Place, of: LineMap) -> None:
    assert refused(code_of(KeyPair(PAIR.kid, ANOTHER.private), "acme", place, of))


@given(PLACES, THINGS)
def test_codes_of_every_key_that_is_published_are_good(place: Place, of: LineMap) -> None:
    for pair in (PAIR, ANOTHER):
        assert not refused(code_of(pair, "acme", place, of), "acme", PAIR, ANOTHER)


def test_a_signature_in_its_other_form_is_refused() -> None:
    """Ed25519's S can be written with the group's order added; RFC 8032 has it refused."""
    code = code_of(PAIR, "acme", Place(ORDER_ID, 0, 0), thing("ticket", event_id="1", ticket_type_id="1"))
    signed, _, signature = code.rpartition(".")
    raw = decoded(signature)
    s = int.from_bytes(raw[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    assert refused(f"{signed}.{encoded(raw[:32] + s.to_bytes(32, 'little'))}")


def test_a_pair_comes_back_from_its_text_and_is_named_by_its_thumbprint() -> None:
    """The key of RFC 8037, A.1 to A.3."""
    pair = KeyPair.from_text(RFC_8037)
    assert json.loads(pair.to_text()) == json.loads(RFC_8037)
    assert pair.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"[:8]
    assert len({KeyPair.generate().kid for _ in range(50)}) == 50


def test_one_code_for_each_person_that_an_order_admits() -> None:
    order = order_of(
        thing("product", 2, product_id="1"),
        thing("ticket", 3, event_id="1", ticket_type_id="2"),
        thing("seat", event_id="1", ticket_type_id="1", row="A", seat="7"),
        thing("listing", ticket_id="19a9f5c1c3a0123456789abc", title="Row 3"),
        thing("venue", venue_id="1", start=0, end=1),
    )
    order.admitted["1-2"] = 17
    found = codes_of(order, Signer())
    assert [(ticket.line, ticket.number) for ticket in found] == [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0)]
    assert [ticket.admitted_at for ticket in found] == [None, None, 17, None, None]
    assert len({ticket.code for ticket in found}) == 5
    for ticket in found:
        assert ticket.thing == order.lines[ticket.line]
        assert tickets.read(ticket.code, "acme", found_by(PAIR)) == Place(order.id, ticket.line, ticket.number)


@pytest.mark.parametrize("returned", range(4))
def test_what_was_given_back_has_no_code_and_those_are_the_highest_numbers(returned: int) -> None:
    order = order_of(
        thing("ticket", 3, event_id="1", ticket_type_id="2"), status="partially_refunded", returned=[returned]
    )
    assert [ticket.number for ticket in codes_of(order, Signer())] == list(range(3 - returned))


@pytest.mark.parametrize("status", OrderState)
def test_only_what_is_bought_has_codes_and_nothing_else_needs_a_key(status: OrderState) -> None:
    signer = Signer()
    found = codes_of(order_of(thing("ticket", 2, event_id="1", ticket_type_id="2"), status=status), signer)
    assert (len(found), signer.asked) == ((2, 1) if status in BOUGHT else (0, 0))
    assert codes_of(order_of(thing("product", 2, product_id="1")), signer) == []
    assert signer.asked == (status in BOUGHT)


def test_a_large_order_is_signed_part_by_part() -> None:
    counted = thing("ticket", 10_000, event_id="1", ticket_type_id="2")
    order = order_of(counted, counted)
    assert len(codes_of(order, Signer())) == 1_000
    part = codes_of(order, Signer(), after=9_999, most=2)
    assert [(ticket.line, ticket.number) for ticket in part] == [(0, 9_999), (1, 0)]
    assert codes_of(order, Signer(), after=20_000) == []


def test_who_was_let_in_with_what_would_be_given_back() -> None:
    order = order_of(
        thing("ticket", 12, event_id="1", ticket_type_id="2"), thing("ticket", 2, event_id="1", ticket_type_id="3")
    )
    for name in ("0-9", "0-10", "1-0"):
        order.admitted[name] = 17
    assert [keep for keep in range(13) if admitted_beyond(order, 0, keep)] == list(range(11))
    assert [keep for keep in range(3) if admitted_beyond(order, 1, keep)] == [0]
    assert not admitted_beyond(order_of(thing("ticket", 2, event_id="1", ticket_type_id="3")), 0, 0)


def jwks(*pairs: KeyPair) -> Any:
    return json.loads(TicketKeys(keys=[TicketKey(kid=pair.kid, x=pair.x) for pair in pairs]).model_dump_json())


@given(TENANTS, PLACES, THINGS, st.data())
def test_the_readmes_gate_reads_codes_offline(tenant: str, place: Place, of: LineMap, data: st.DataObject) -> None:
    read = gate()
    code = code_of(PAIR, tenant, place, of)
    named = [name for name in (of.event_id, of.ticket_type_id, of.row, of.seat, of.ticket_id) if name is not None]
    assert read(code, jwks(ANOTHER, PAIR)) == (place.order_id, place.line, place.number, named)
    at = data.draw(st.integers(0, len(code) - 1) | st.just(len(code) - 1))
    other = data.draw(st.sampled_from([letter for letter in LETTERS if letter != code[at]]))
    for wrong, keys in ((code[:at] + other + code[at + 1 :], jwks(PAIR)), (code, jwks(ANOTHER)), (code, jwks())):
        with pytest.raises(Exception):  # noqa: B017, PT011
            read(wrong, keys)


def test_the_examples_of_the_api_document_belong_together() -> None:
    keys = TicketKeys(keys=[TicketKey(kid=KID_EXAMPLE, x=KEY_EXAMPLE)]).model_dump()
    assert gate()(CODE_EXAMPLE, keys) == (ORDER_ID, 0, 0, ["1", "1", "12", "7"])
    pair = KeyPair.from_text(RFC_8037)
    assert (pair.kid, pair.x) == (KID_EXAMPLE, KEY_EXAMPLE)
    assert tickets.read(CODE_EXAMPLE, "demo", found_by(pair)) == Place(ORDER_ID, 0, 0)


def test_the_readmes_gate_needs_nothing_of_ours() -> None:
    imported = [line for line in program().splitlines() if "import" in line]
    assert imported == [
        "import base64, json",
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey",
    ]


def test_the_key_set_is_of_keys_as_rfc_8037_has_them() -> None:
    (key,) = jwks(PAIR)["keys"]
    assert {name: key[name] for name in ("kty", "crv", "alg", "use")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
    }
    raw = urlsafe_b64decode(key["x"] + "=")
    assert raw == PAIR.private.public_key().public_bytes_raw()
    assert isinstance(Ed25519PublicKey.from_public_bytes(raw), Ed25519PublicKey)


def test_tickets_are_shown_without_cryptography_until_one_is_signed() -> None:
    program = "import sys; sys.modules['cryptography'] = None; from holdfast.checkout import ticket_wire"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(LIBRARY)})
