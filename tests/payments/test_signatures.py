"""Webhook signatures: any change refused, old and future times refused, several secrets, constant time."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.checkout.payments import signatures
from holdfast.platform.errors import SignatureRefused

SECRET = "whsec_of_the_tests"
NOW = 1_700_000_000_000
BODY = b'{"id": "evt_1", "type": "payment_intent.succeeded"}'
MINUTE = 60_000

BODIES = st.binary(max_size=200)
TIMES = st.integers(10**12, 10**13)


def _accepted(header: str, body: bytes = BODY, now: int = NOW, secrets: tuple[str, ...] = (SECRET,)) -> bool:
    try:
        signatures.check_timed(header, body, secrets, now)
    except SignatureRefused:
        return False
    return True


def test_a_signature_is_the_documented_one() -> None:
    """HMAC-SHA256 of "<t>.<raw body>", as Stripe's documentation has it, computed here by other means."""
    expected = hmac.new(SECRET.encode(), b"1700000000." + BODY, "sha256").hexdigest()
    assert signatures.timed_header(BODY, SECRET, NOW) == f"t=1700000000,v1={expected}"


@settings(deadline=None)
@given(BODIES, TIMES)
def test_what_is_signed_is_accepted(body: bytes, now: int) -> None:
    assert _accepted(signatures.timed_header(body, SECRET, now), body, now)


@settings(deadline=None)
@given(BODIES.filter(bool), st.data())
def test_any_changed_byte_of_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    header = signatures.timed_header(body, SECRET, NOW)
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
    assert not _accepted(header, body[:place] + bytes([other]) + body[place + 1 :])


@settings(deadline=None)
@given(BODIES, st.data())
def test_any_changed_byte_of_the_header_is_refused(body: bytes, data: st.DataObject) -> None:
    header = signatures.timed_header(body, SECRET, NOW)
    place = data.draw(st.integers(0, len(header) - 1))
    other = data.draw(st.characters().filter(lambda character: character != header[place]))
    assert not _accepted(header[:place] + other + header[place + 1 :], body)


@settings(deadline=None)
@given(BODIES, st.data())
def test_a_truncated_header_or_body_is_refused(body: bytes, data: st.DataObject) -> None:
    header = signatures.timed_header(body, SECRET, NOW)
    assert not _accepted(header[: data.draw(st.integers(0, len(header) - 1))], body)
    if body:
        assert not _accepted(header, body[: data.draw(st.integers(0, len(body) - 1))])


@settings(deadline=None)
@given(st.text())
def test_any_other_header_is_refused_and_raises_nothing_else(header: str) -> None:
    assert not _accepted(header)


@pytest.mark.parametrize("off", [-6 * MINUTE, 6 * MINUTE, -5 * MINUTE - 1_000, 5 * MINUTE + 1_000])
def test_a_signature_of_six_minutes_ago_or_in_six_minutes_is_refused(off: int) -> None:
    assert not _accepted(signatures.timed_header(BODY, SECRET, NOW + off))


@pytest.mark.parametrize("off", [-5 * MINUTE, -MINUTE, 0, MINUTE, 5 * MINUTE])
def test_a_signature_of_up_to_five_minutes_either_way_is_accepted(off: int) -> None:
    assert _accepted(signatures.timed_header(BODY, SECRET, NOW + off))


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is being replaced, both sign."""
    header = signatures.timed_header(BODY, "whsec_before", NOW)
    right = signatures.timed_header(BODY, SECRET, NOW).partition(",")[2]
    assert _accepted(f"{header},{right}")
    assert _accepted(f"{header},v0=00,{right},v2=ff")
    assert not _accepted(header)


def test_one_of_several_secrets_is_enough() -> None:
    header = signatures.timed_header(BODY, "whsec_before", NOW)
    assert _accepted(header, secrets=(SECRET, "whsec_before"))


def test_a_signature_of_another_scheme_is_none() -> None:
    """Stripe's v0 is for test events, and never to be trusted."""
    assert not _accepted(signatures.timed_header(BODY, SECRET, NOW).replace("v1=", "v0="))


def test_two_times_are_refused_whichever_is_signed() -> None:
    header = signatures.timed_header(BODY, SECRET, NOW)
    assert not _accepted(f"t=1700000001,{header}")
    assert not _accepted(f"{header},t=1700000001")


def test_without_a_secret_nothing_is_accepted() -> None:
    assert not _accepted(signatures.timed_header(BODY, SECRET, NOW), secrets=())


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison is compare_digest's, and all are made, whether or not an earlier one was right."""
    compared: list[tuple[bytes, bytes]] = []

    def counted(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", counted)
    header = signatures.timed_header(BODY, SECRET, NOW)
    assert _accepted(f"{header},v1=00,v1=11", secrets=(SECRET, "whsec_before"))
    assert len(compared) == 6


def test_a_plain_signature_is_over_the_message_alone() -> None:
    right = hmac.new(SECRET.encode(), BODY, "sha256").hexdigest()
    signatures.check(right, BODY, [SECRET])
    for wrong in ("", right[:-1], right.upper(), right + "0", "ü" * 64):
        with pytest.raises(SignatureRefused):
            signatures.check(wrong, BODY, [SECRET])
