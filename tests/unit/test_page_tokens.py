"""Page tokens: they come back as what they were made of, and nothing else does."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.platform.errors import Fault, Malformed
from holdfast.platform.page_tokens import MOST_POSITION_BYTES, PATTERN, issue, read

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SCOPES = st.text(st.characters(codec="utf-8"), max_size=100)
POSITIONS = st.text(st.characters(codec="utf-8"), max_size=35)


def refused(scope: str, token: str) -> bool:
    try:
        read(scope, token)
    except Malformed:
        return True
    return False


@given(SCOPES, POSITIONS)
def test_a_token_comes_back_as_its_position_and_fits_an_address(scope: str, position: str) -> None:
    token = issue(scope, position)
    assert re.fullmatch(PATTERN, token)
    assert read(scope, token) == position


@given(SCOPES, POSITIONS, st.data())
def test_a_token_with_any_one_character_changed_is_refused(scope: str, position: str, data: st.DataObject) -> None:
    """Also the last one, of which base64 itself does not read every bit."""
    token = issue(scope, position)
    place = data.draw(st.integers(0, len(token) - 1) | st.just(len(token) - 1))
    other = data.draw(st.sampled_from([letter for letter in f"{ALPHABET}=+/ \né" if letter != token[place]]))
    assert refused(scope, token[:place] + other + token[place + 1 :])


@given(SCOPES, POSITIONS, st.sampled_from(f"{ALPHABET}=+/ \n"), st.data())
def test_a_token_with_a_character_more_or_less_is_refused(
    scope: str, position: str, letter: str, data: st.DataObject
) -> None:
    token = issue(scope, position)
    place = data.draw(st.integers(0, len(token)))
    assert refused(scope, token[:place] + letter + token[place:])
    assert refused(scope, token[:-1])
    assert refused(scope, token[1:])


@given(SCOPES, SCOPES, POSITIONS)
def test_a_token_of_another_list_is_refused(scope: str, other: str, position: str) -> None:
    assert refused(other, issue(scope, position)) == (other != scope)


@given(SCOPES, st.text(max_size=250))
def test_whatever_text_is_sent_for_a_token_is_refused(scope: str, text: str) -> None:
    assert refused(scope, text)


@given(st.text(ALPHABET, min_size=1, max_size=200))
def test_a_text_of_the_right_letters_is_no_token_yet(text: str) -> None:
    assert refused("acme/people", text)


def test_a_token_with_another_position_under_its_digest_is_refused() -> None:
    raw = urlsafe_b64decode(issue("acme/people", "aaaaa"))
    assert refused("acme/people", urlsafe_b64encode(raw[:10] + b"aaaab").decode())


def test_the_refusal_names_the_field_that_the_caller_says() -> None:
    with pytest.raises(Malformed) as plain:
        read("acme/people", "x")
    assert plain.value.faults == (Fault("next", "Not a token that this list gave."),)
    with pytest.raises(Malformed) as named:
        read("acme/people", "x", "after")
    assert [fault.field for fault in named.value.faults] == ["after"]


def test_the_longest_position_still_fits_and_a_longer_one_is_our_own_defect() -> None:
    assert len(issue("acme/people", "x" * MOST_POSITION_BYTES)) == 200
    with pytest.raises(ValueError, match="too long"):
        issue("acme/people", "x" * (MOST_POSITION_BYTES + 1))
