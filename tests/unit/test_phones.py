"""Phone numbers: brought to one form, and refused where no numbering plan has them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from holdfast.identity.contacts import Email, PersonName, Phone
from holdfast.identity.phones import normalised

ROOT = Path(__file__).resolve().parents[2]

phone = TypeAdapter[str](Phone)
name = TypeAdapter[str](PersonName)
email = TypeAdapter[str](Email)

SPACED = st.lists(st.sampled_from(["", " ", "-", ".", "(", ")"]), min_size=13, max_size=13)


def codes(kind: TypeAdapter[Any], value: Any) -> list[str]:
    try:
        kind.validate_python(value)
    except ValidationError as wrong:
        return [error["type"] for error in wrong.errors()]
    return []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("9876543210", "+919876543210"),
        ("09876543210", "+919876543210"),
        ("98765 43210", "+919876543210"),
        ("+919876543210", "+919876543210"),
        ("+91 98765-43210", "+919876543210"),
        ("+91 (0) 98765 43210", "+919876543210"),
        ("022 2202 5115", "+912222025115"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+44 20 7946 0958", "+442079460958"),
        ("+49.1512.3456789", "+4915123456789"),
        ("+65 6123 4567", "+6561234567"),
    ],
)
def test_a_number_comes_out_in_e_164(written: str, meant: str) -> None:
    assert normalised(written) == meant
    assert normalised(meant) == meant


@given(st.sampled_from("6789"), st.integers(0, 10**9 - 1))
def test_an_indian_number_is_the_same_bare_with_a_0_and_with_its_country_code(first: str, rest: int) -> None:
    bare = f"{first}{rest:09d}"
    forms = (bare, f"0{bare}", f"+91{bare}", f"{bare[:5]} {bare[5:]}")
    assert len({tuple(codes(phone, form)) for form in forms}) == 1
    if not codes(phone, bare):
        assert {normalised(form) for form in forms} == {f"+91{bare}"}


@given(SPACED)
def test_what_stands_between_the_digits_does_not_matter(between: list[str]) -> None:
    written = "".join(letter + gap for letter, gap in zip("+919876543210", between, strict=True))
    assert normalised(written) == "+919876543210"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "phone",
        "12345678",
        "987654321",
        "98765432101",
        "919876543210",
        "00919876543210",
        "5555555555",
        "0000000000",
        "9999",
        "+0919876543210",
        "+9198765432",
        "+91987654321012345",
        "+999123456789",
        "+1 555 555 5555",
        "++919876543210",
        "+91+9876543210",
        "9876543210 ext 5",
        "tel:+919876543210",
        "+91 98765 4321O",
        "9876543210\n",
        "98765\t43210",
        "+91 98765/43210",
        "٩٨٧٦٥٤٣٢١٠",
        "+９１９８７６５４３２１０",
        "1800FLOWERS",
        "9" * 10_000,
        " " * 30 + "9876543210",
    ],
)
def test_what_is_no_phone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a phone number"):
        normalised(text)
    assert len(codes(phone, text)) == 1


@given(st.text(max_size=40))
def test_any_text_is_a_phone_in_e_164_or_none(text: str) -> None:
    if not codes(phone, text):
        known = phone.validate_python(text)
        assert known[0] == "+"
        assert known[1:].isascii()
        assert known[1:].isdecimal()
        assert len(known) <= 16


@pytest.mark.parametrize("value", [None, True, 9876543210, 9.0, [], {}, b"9876543210"])
def test_a_phone_is_a_text(value: Any) -> None:
    assert codes(phone, value) == ["string_type"]


def test_a_refused_phone_has_a_code_and_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as wrong:
        phone.validate_python("0000000000")
    (error,) = wrong.value.errors()
    assert error["type"] == "phone_malformed"
    assert "0000" not in error["msg"]


@pytest.mark.parametrize("value", ["", " ", "\t", "x" * 121, None, 5, ["Asha"]])
def test_a_name_is_a_text_of_up_to_120_characters_with_something_in_it(value: Any) -> None:
    assert codes(name, value)
    assert codes(name, "x" * 120) == []
    assert codes(name, "आशा राव") == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "asha",
        "@example.com",
        "asha@",
        "asha@example",
        "asha@.com",
        "a b@example.com",
        "asha@exa mple.com",
        "asha@example.com\n",
        "asha@example.com, b@example.com",
        "<asha@example.com>",
        "a@b@example.com",
        "x" * 65 + "@example.com",
        "a@" + "x." * 130 + "com",
        None,
        5,
    ],
)
def test_what_is_no_email_address_is_refused(value: Any) -> None:
    assert codes(email, value)


@pytest.mark.parametrize("value", ["asha@example.com", "asha.rao+hall@mail.example.co.in", "o'neil@example.com"])
def test_what_mail_is_sent_to_is_good(value: str) -> None:
    assert email.validate_python(value) == value


def test_the_numbering_plans_are_not_loaded_until_a_phone_is_read() -> None:
    """They are half of a cold start; a request without a phone does not wait for them."""
    program = (
        "import sys; from holdfast.identity import contacts, people, phones\n"
        "assert 'phonenumbers' not in sys.modules\n"
        "phones.normalised('9876543210')\n"
        "assert 'phonenumbers' in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "layers" / "holdfast",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
