"""What is made of everything that a partner may answer: good slots are taken in exactly, bad ones rejected alone."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.claims.slot import OfferedPax
from holdfast.partners.inventory import MOST_ASIDE, MOST_SLOTS, read_inventory
from holdfast.partners.port import PartnerFailed
from tests.partner.products import SAMPLE_DATE, SAMPLE_DAY
from tests.partners.asking import SAMPLE, code_of, only, read, rejected_alone, slot, with_pax, with_price, without

SECRET_TEXT = "never-to-be-repeated"

_WRONG: dict[str, tuple[Any, ...]] = {
    "remaining": (-1, 1.5, 170.0, "170", True, None, 10**12, []),
    "startTime": ("24:00", "9:00", "09:60", "09:00:00", "٠٩:٠٠", 9, ""),
    "endTime": ("24:00", "01:00\n", 1),
    "startDate": ("2025-03-24", "", 20_250_323, "2025-03-23T00:00"),
    "currencyCode": ("SG", "sgd", "XXX", 1, None),
    "paxAvailability": ({}, None, "none", [1], [[]]),
}
"""Values that a field of a slot may not have."""

_WRONG_OF_PAX: dict[str, tuple[Any, ...]] = {
    "type": ("A#B", "A/B", "", "~A", "A" * 41, "A\n", "Ä", 7, None),
    "remaining": (-1, 0.5, "1", False),
    "min": (-1, "1"),
    "max": (-1, 1.0),
    "isPrimary": (1, "true"),
    "name": (1, None, "x" * 201),
    "description": (1, "x" * 1_001),
    "price": (341, [], None),
}


def test_the_sample_day_is_taken_in_exactly_with_prices_in_minor_units() -> None:
    found = only(read(*SAMPLE_DAY))
    assert (found.slot_id, found.start_time, found.end_time) == ("ab12", "00:00", "01:00")
    assert (found.remaining, found.currency) == (170, "SGD")
    assert found.pax == (
        OfferedPax("ADULT_12~99", "Adult", "12-99 years", 1, 20, 150, True, 34_100, 44_100),
        OfferedPax("CHILD_5~15", "Child", "5-15 years", 1, 20, 80, False, 13_700, 23_700),
        OfferedPax("INFANT_0~4", "Infant", "0-4 years", 1, 5, 20, False, 0, 0),
    )
    assert found.aside == {
        "variantId": 122,
        "paxAvailability": {pax.type: {"price": {"discount": 0}} for pax in found.pax},
    }


def test_a_day_without_slots_is_whole_and_empty() -> None:
    found = read()
    assert (list(found.slots), list(found.rejected), found.is_whole) == ([], [], True)


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [
        ("341", "SGD", 34_100),
        ("19.99", "SGD", 1_999),
        ("0.1", "SGD", 10),
        ("1.10", "SGD", 110),
        ("3.41e2", "SGD", 34_100),
        ("0", "SGD", 0),
        ("-0.0", "SGD", 0),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1_234),
    ],
)
def test_prices_are_read_exactly(price: str, currency: str, minor: int) -> None:
    text = json.dumps([slot(currencyCode=currency)]).replace('"SGD"', f'"{currency}"').replace("341", price)
    assert only(read_inventory(text.encode(), SAMPLE_DATE)).pax[0].final_minor == minor


@pytest.mark.parametrize(
    "price",
    [
        *("0.001", "-1", "341.0000001", "1e13", "1e400", "1e-400", "1e99999999999999999999", "1e-99999999999999999999"),
        *("NaN", "Infinity", "-Infinity", '"341"', "true", "null", "[341]", "9" * 30, "0." + "3" * 30),
    ],
)
def test_prices_that_are_none_reject_their_slot_alone(price: str) -> None:
    good, bad = json.dumps(slot("cd34")), json.dumps(slot()).replace("341", price)
    found = read_inventory(f"[{bad}, {good}]".encode(), SAMPLE_DATE)
    assert [each.slot_id for each in found.slots] == ["cd34"]
    assert [each.slot_id for each in found.rejected] == ["ab12"]
    assert "price" in found.rejected[0].reason


@pytest.mark.parametrize(
    "path",
    [(name,) for name in ("startDate", "startTime", "remaining", "currencyCode", "paxAvailability")]
    + [("paxAvailability", 0, name) for name in ("type", "name", "min", "max", "remaining", "price")]
    + [("paxAvailability", 1, "price", name) for name in ("finalPrice", "originalPrice", "currencyCode")],
)
def test_a_slot_with_a_missing_field_is_rejected_alone_with_the_reason(path: tuple[Any, ...]) -> None:
    rejected = rejected_alone(without(slot(), *path))
    assert rejected.slot_id == "ab12"
    assert rejected.reason == f"{'.'.join(map(str, path))}: Field required"


@pytest.mark.parametrize(
    "more",
    [
        {"endTime": None},
        {"something": "new"},
    ],
)
def test_what_need_not_be_there_may_be_missing(more: dict[str, Any]) -> None:
    bare = without(without(slot(), "endTime"), "variantId") | more
    for name in ("description", "isPrimary"):
        bare = without(bare, "paxAvailability", 0, name)
    found = only(read(bare))
    assert found.end_time is None
    assert (found.pax[0].description, found.pax[0].is_primary) == ("", False)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        *((slot(**{name: value}), name) for name, values in _WRONG.items() for value in values),
        *((with_pax(**{name: value}), name) for name, values in _WRONG_OF_PAX.items() for value in values),
        (with_pax(min=21), "paxAvailability.0: min is more than max"),
        (with_pax(type="CHILD_5~15"), "paxAvailability: a type comes twice"),
        (with_price(currencyCode="USD"), "currencyCode: not the slot's"),
        (slot(paxAvailability=[SAMPLE["paxAvailability"][0]] * 51), "paxAvailability"),
    ],
)
def test_a_slot_that_lies_is_rejected_alone_with_the_field_that_is_wrong(wrong: dict[str, Any], field: str) -> None:
    rejected = rejected_alone(wrong)
    assert rejected.slot_id == "ab12"
    assert field in rejected.reason


def test_a_slot_in_a_currency_that_nobody_pays_in_is_rejected_alone() -> None:
    rejected = rejected_alone(json.loads(json.dumps(slot()).replace("SGD", "XXX")))
    assert (rejected.slot_id, rejected.reason) == ("ab12", "currencyCode: not a currency")


@pytest.mark.parametrize(
    "wrong", [None, 7, "slot", [], [slot()], {}, {"providerSlotId": 12}, slot() | {"providerSlotId": None}]
)
def test_what_cannot_be_told_to_be_any_slot_makes_the_answer_less_than_whole(wrong: Any) -> None:
    assert rejected_alone(wrong).slot_id is None
    assert not read(slot(), wrong).is_whole


@pytest.mark.parametrize("slot_id", ["", "a/b", "a#b", "-ab12", "a" * 65, "ab12\n", "ab 12", "Ü", "x" * 10_000])
def test_an_id_that_may_stand_in_no_key_is_told_as_one_that_no_slot_has(slot_id: str) -> None:
    rejected = rejected_alone(slot(slot_id))
    assert rejected.slot_id is not None
    assert rejected.slot_id.startswith("?")
    assert len(rejected.slot_id) <= 61
    assert read(slot(), slot(slot_id)).is_whole


@pytest.mark.parametrize("slot_id", ["a", "A.b_c~d:e-f", "0" * 64])
def test_ids_of_the_letters_that_keys_mind_not_are_taken(slot_id: str) -> None:
    assert only(read(slot(slot_id))).slot_id == slot_id


def test_two_slots_of_one_id_are_both_rejected_since_neither_can_be_believed() -> None:
    found = read(slot("ab12", remaining=1), slot("cd34"), slot("ab12", remaining=2))
    assert [each.slot_id for each in found.slots] == ["cd34"]
    assert [(each.slot_id, each.reason) for each in found.rejected] == [("ab12", "another slot has its id")] * 2


def test_a_bad_slot_takes_no_good_one_of_the_same_id_along() -> None:
    found = read(slot("ab12", remaining=-1), slot("ab12"))
    assert [each.slot_id for each in found.slots] == ["ab12"]
    assert [each.slot_id for each in found.rejected] == ["ab12"]


def test_nothing_of_an_answer_is_repeated_in_a_reason() -> None:
    wrong = [
        slot(remaining=SECRET_TEXT, startTime=SECRET_TEXT, endTime=[SECRET_TEXT]),
        slot(startDate=SECRET_TEXT),
        slot(currencyCode=SECRET_TEXT),
        with_pax(type=SECRET_TEXT * 5, min={SECRET_TEXT: 1}),
        with_price(finalPrice=SECRET_TEXT, currencyCode=SECRET_TEXT),
    ]
    for rejected in read(*wrong).rejected:
        assert SECRET_TEXT not in rejected.reason
        assert len(rejected.reason) < 400


def test_unknown_fields_are_kept_aside_with_numbers_as_texts_where_they_are_no_integers() -> None:
    told = slot(meetingPoint={"lat": 1.25, "lon": float("nan"), "names": ["quay", None]}) | {"slot_id": "theirs"}
    told["paxAvailability"] = [with_pax(height=1.1)["paxAvailability"][0]]
    assert only(read(told)).aside == {
        "variantId": 122,
        "meetingPoint": {"lat": "1.25", "lon": "NaN", "names": ["quay", None]},
        "slot_id": "theirs",
        "paxAvailability": {"ADULT_12~99": {"height": "1.1", "price": {"discount": 0}}},
    }


@pytest.mark.parametrize(
    "more",
    [
        {"page": "x" * (MOST_ASIDE + 1)},
        {"page": "ü" * (MOST_ASIDE // 2)},
        {"page": "\ud800"},
        {"page": json.loads("[" * 30 + "]" * 30)},
    ],
)
def test_what_is_aside_and_too_much_to_keep_is_left_out_and_the_slot_is_taken(more: dict[str, Any]) -> None:
    assert only(read(slot(**more))).aside == {}


def test_a_type_of_no_use_to_anybody_is_taken_as_it_is_and_so_is_a_slot_without_types() -> None:
    assert only(read(slot(paxAvailability=[]))).pax == ()
    assert only(read(with_pax(min=0, max=0, remaining=0))).pax[0].maximum == 0


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[", b"null", b"{}", b'{"slots": []}', b'"[]"', b"[] []", b"\xff\xfe", b"<html>", b"[" * 100_000),
        *(b"[" + b"9" * 5_000 + b"]", json.dumps([{}] * (MOST_SLOTS + 1)).encode(), b'["\\ud8', b"[1e5x]"),
    ],
)
def test_an_answer_that_is_no_array_of_slots_fails_as_a_whole(text: bytes) -> None:
    with pytest.raises(PartnerFailed) as failed:
        read_inventory(text, SAMPLE_DATE)
    assert code_of(failed.value) == "bad_answer"


def test_the_digest_is_that_of_what_is_said_however_it_is_written() -> None:
    first, second = slot("ab12"), slot("cd34")
    digest = read(first, second).digest
    assert read(second, dict(reversed(first.items()))).digest == digest
    assert read_inventory(json.dumps([first, second], indent=3).encode(), SAMPLE_DATE).digest == digest
    others = [
        read(first),
        read(first, second | {"remaining": 1}),
        read(first, second | {"variantId": 1}),
        read(first, second | {"endTime": "02:00"}),
        read(first, second | {"remaining": -1}),
        read(first, slot("ef56")),
        read(first, second, 7),
    ]
    assert len({digest, *(other.digest for other in others)}) == len(others) + 1


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=20)
    | st.sampled_from(["ab12", "SGD", SAMPLE_DATE, "10:00", "providerSlotId", "-"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_NAMES = sorted(SAMPLE) + sorted(SAMPLE["paxAvailability"][0]) + sorted(SAMPLE["paxAvailability"][0]["price"]) + ["new"]


@st.composite
def _slots(draw: st.DrawFn) -> Any:
    """A slot with anything in some of its places, or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(_JSON)
    told = slot(draw(st.sampled_from(["a1", "b2", "c3", "d4", "e5"])))
    levels = [told, *told["paxAvailability"], *(pax["price"] for pax in told["paxAvailability"])]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(levels))
        name = draw(st.sampled_from(_NAMES))
        if draw(st.booleans()):
            place.pop(name, None)
        else:
            place[name] = draw(_JSON)
    return told


@settings(deadline=None)
@given(st.lists(_slots(), max_size=5))
@example([{"providerSlotId": "\ud800"}])
@example([slot() | {"\ud800": 1}])
@example([slot() | {"__dict__": {}, "model_extra": 1, "model_fields": {}, "__class__": None}])
def test_whatever_is_answered_good_slots_are_taken_and_every_other_is_rejected_with_a_reason(told: list[Any]) -> None:
    good = [slot("good-1"), slot("good-2", remaining=0)]
    found = read_inventory(json.dumps([good[0], *told, good[1]]).encode(), SAMPLE_DATE)
    taken = {each.slot_id: each for each in found.slots}
    for expected in good:
        assert taken[expected["providerSlotId"]] == only(read(expected))
    assert len(taken) == len(found.slots)
    assert len(taken) + len(found.rejected) == len(told) + 2
    for each in found.slots:
        assert json.loads(json.dumps(each.aside)) == each.aside
        json.dumps(each.aside, ensure_ascii=False).encode()
        assert all(0 <= pax.minimum <= pax.maximum for pax in each.pax)
        assert each.remaining >= 0
    for rejected in found.rejected:
        assert 0 < len(rejected.reason) < 1_000
        rejected.reason.encode()
    assert read_inventory(json.dumps([*told, *good]).encode(), SAMPLE_DATE).slots == found.slots


@settings(deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(str.encode) | _JSON.map(lambda told: json.dumps(told).encode())
)
def test_any_bytes_are_an_answer_or_fail_as_a_bad_one(text: bytes) -> None:
    codes = ["bad_answer"]
    try:
        assert not read_inventory(text, SAMPLE_DATE).slots
    except PartnerFailed as failed:
        codes.append(code_of(failed))
    assert set(codes) == {"bad_answer"}
