"""Whether a solved captcha is good for what it was sent with, and what the sandbox says of tokens."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.abuse.captcha.judging import SKEW_SECONDS, objection
from holdfast.abuse.captcha.port import NotSolved, ProviderOut, Solved
from holdfast.abuse.captcha.sandbox import Sandbox, SandboxToken
from holdfast.platform.policy import CaptchaPolicy

NOW, LIFE = 1_803_895_200_000, 120
POLICY = CaptchaPolicy("recaptcha", "site-key", ("shop.example.com", "www.example.com"), 0.5)
GOOD = Solved("shop.example.com", NOW - 5_000, "reserve", 0.9)


class Stopped:
    """A clock that stands."""

    def now(self) -> int:
        """Return the time at which all of this happens."""
        return NOW


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"host": "www.example.com"}, None),
        ({"host": "example.com"}, "host"),
        ({"host": "shop.example.com.evil.test"}, "host"),
        ({"host": "SHOP.EXAMPLE.COM"}, "host"),
        ({"host": "shop.example.com:8080"}, "host"),
        ({"host": ""}, "host"),
        ({"action": "checkout"}, "action"),
        ({"action": "Reserve"}, "action"),
        ({"action": ""}, "action"),
        ({"action": None}, None),
        ({"score": 0.5}, None),
        ({"score": 1.0}, None),
        ({"score": 0.49}, "score"),
        ({"score": 0.0}, "score"),
        ({"score": None}, None),
        ({"solved_at": NOW - (LIFE + SKEW_SECONDS) * 1000}, None),
        ({"solved_at": NOW - (LIFE + SKEW_SECONDS) * 1000 - 1}, "age"),
        ({"solved_at": NOW + SKEW_SECONDS * 1000}, None),
        ({"solved_at": NOW + SKEW_SECONDS * 1000 + 1}, "age"),
        ({"solved_at": 0}, "age"),
    ],
)
def test_a_captcha_is_good_for_one_host_action_score_and_time(change: dict[str, Any], expected: str | None) -> None:
    assert objection(replace(GOOD, **change), POLICY, "reserve", LIFE, NOW) == expected


@pytest.mark.parametrize(("least", "score", "passes"), [(0.0, 0.0, True), (1.0, 1.0, True), (1.0, 0.99, False)])
def test_a_tenant_says_which_score_is_enough(least: float, score: float, passes: bool) -> None:
    found = objection(replace(GOOD, score=score), replace(POLICY, minimum_score=least), "reserve", LIFE, NOW)
    assert (found is None) == passes


def test_no_host_passes_where_none_is_named() -> None:
    assert objection(replace(GOOD, host=""), replace(POLICY, hosts=()), "reserve", LIFE, NOW) == "host"


EXPECTED = {
    SandboxToken.PASS: None,
    SandboxToken.LOW_SCORE: "score",
    SandboxToken.WRONG_ACTION: "action",
    SandboxToken.WRONG_HOST: "host",
    SandboxToken.OLD: "age",
}


@pytest.mark.parametrize("action", ["reserve", "checkout"])
@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("more", ["", ".1", ".another"])
def test_the_sandbox_solves_what_its_tokens_say(kind: SandboxToken, action: str, more: str) -> None:
    verdict = Sandbox(POLICY, Stopped()).verify(kind + more, action, None)
    assert isinstance(verdict, Solved)
    assert objection(verdict, POLICY, action, Sandbox.life_seconds, NOW) == EXPECTED[kind]


@pytest.mark.parametrize("token", ["fail", "fail.1", "used", "used.2", "", ".", "pass-1", "PASS", "passes", "anything"])
def test_the_sandbox_refuses_all_others(token: str) -> None:
    assert isinstance(Sandbox(POLICY, Stopped()).verify(token, "reserve", None), NotSolved)


def test_the_sandbox_can_be_out() -> None:
    with pytest.raises(ProviderOut):
        Sandbox(POLICY, Stopped()).verify("outage.1", "reserve", None)
