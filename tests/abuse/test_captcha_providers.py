"""What each captcha provider is asked, and what is made of everything that it may answer, over real HTTP."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from holdfast.abuse.captcha import calls
from holdfast.abuse.captcha.port import AskedTooOften, Captcha, Misconfigured, NotSolved, ProviderOut, Solved, Verdict
from holdfast.platform.secrets import SecretUnreadable
from tests.abuse.outside import (
    ACTION,
    ADDRESS,
    HOST,
    PROVIDERS,
    SECRET,
    SOLVED_AT_MS,
    Asked,
    Known,
    Outside,
    Says,
    assessment,
    siteverify,
)

TOKEN = "03AFcWeA5dqv/+=._-"
CALLS = calls.Calls()
SITEVERIFY = sorted(set(PROVIDERS) - {"recaptcha_enterprise"})


@pytest.fixture(params=sorted(PROVIDERS))
def name(request: pytest.FixtureRequest) -> str:
    """Each provider in turn."""
    return str(request.param)


@pytest.fixture
def known(name: str) -> Known:
    """What is known of it."""
    return PROVIDERS[name]


@pytest.fixture
def captcha(known: Known, outside: Outside) -> Captcha:
    """The provider, at the server."""
    return known.make(outside.url, CALLS)


def verified(captcha: Captcha, token: str = TOKEN, address: str | None = ADDRESS) -> Verdict:
    """Return what is made of a token."""
    return captcha.verify(token, ACTION, address)


def test_a_good_token_is_solved_where_when_for_what_and_how_surely(
    name: str, captcha: Captcha, known: Known, outside: Outside
) -> None:
    outside.say(known.good)
    action = None if name == "hcaptcha" else ACTION
    score = 0.9 if name.startswith("recaptcha") else None
    assert verified(captcha) == Solved(HOST, SOLVED_AT_MS, action, score)
    (asked,) = outside.asked
    assert asked.path == known.path
    assert SECRET not in asked.path
    assert TOKEN not in asked.path


@pytest.mark.parametrize("provider", SITEVERIFY)
@pytest.mark.parametrize("address", [ADDRESS, "2001:db8::1", None])
def test_siteverify_is_sent_a_form(provider: str, address: str | None, outside: Outside) -> None:
    outside.say(PROVIDERS[provider].good)
    verified(PROVIDERS[provider].make(outside.url, CALLS), address=address)
    (asked,) = outside.asked
    form = asked.form
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    if provider == "turnstile":
        assert uuid.UUID(form.pop("idempotency_key")).version == 4
    if provider == "hcaptcha":
        assert form.pop("sitekey") == "site-key"
    assert form == {"secret": SECRET, "response": TOKEN} | ({} if address is None else {"remoteip": address})


@pytest.mark.parametrize("address", [ADDRESS, None])
def test_an_assessment_is_asked_for_with_the_key_in_a_header(address: str | None, outside: Outside) -> None:
    outside.say(assessment())
    verified(PROVIDERS["recaptcha_enterprise"].make(outside.url, CALLS), address=address)
    (asked,) = outside.asked
    assert asked.headers["x-goog-api-key"] == SECRET
    event = {"token": TOKEN, "siteKey": "site-key", "expectedAction": ACTION}
    assert json.loads(asked.body) == {"event": event | ({} if address is None else {"userIpAddress": address})}


@pytest.mark.parametrize("kind", ["forged", "used"])
def test_a_token_that_is_no_good_is_refused_and_nobody_has_to_look(
    captcha: Captcha, known: Known, outside: Outside, kind: str
) -> None:
    outside.say(getattr(known, kind))
    verdict = verified(captcha)
    assert isinstance(verdict, NotSolved)
    assert verdict.reason
    assert not verdict.is_odd


def test_what_is_said_of_a_token_and_is_not_known_refuses_it(captcha: Captcha, known: Known, outside: Outside) -> None:
    outside.say(known.odd)
    verdict = verified(captcha)
    assert isinstance(verdict, NotSolved)
    assert verdict.is_odd


@pytest.mark.parametrize("provider", SITEVERIFY)
@pytest.mark.parametrize(
    ("answer", "is_odd"),
    [
        ({"success": False}, True),
        ({"success": False, "error-codes": None}, True),
        ({"success": False, "error-codes": []}, True),
        ({"success": False, "error-codes": ["missing-input-response"]}, False),
        ({"success": False, "error-codes": ["invalid-input-response", "bad-request"]}, True),
        ({"success": False, "error-codes": ["x" * 5_000]}, True),
        (siteverify(success=False, score=0.9, action=ACTION), True),
        (siteverify(score=0.9, action=ACTION) | {"error-codes": ["not-using-dummy-passcode"]}, True),
    ],
)
def test_nothing_but_success_and_no_error_is_success(
    provider: str, answer: dict[str, Any], is_odd: bool, outside: Outside
) -> None:
    outside.say(answer)
    verdict = verified(PROVIDERS[provider].make(outside.url, CALLS))
    assert isinstance(verdict, NotSolved)
    assert verdict.is_odd == is_odd
    assert 0 < len(verdict.reason) <= 100


def test_our_own_secret_refused_is_no_fault_of_the_token(captcha: Captcha, known: Known, outside: Outside) -> None:
    outside.say(known.secret_refused)
    with pytest.raises(Misconfigured) as out:
        verified(captcha)
    assert SECRET not in str(out.value)
    assert len(outside.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused_are_ours_to_mend(captcha: Captcha, outside: Outside, status: int) -> None:
    outside.say(Says({"error": {"code": status}}, status))
    with pytest.raises(Misconfigured):
        verified(captcha)
    assert len(outside.asked) == 1


HTML = b"<!doctype html><title>Just a moment...</title>"

OUT = {
    "500": Says(siteverify(), 500),
    "502": Says(HTML, 502, "text/html"),
    "503": Says(b"", 503, None),
    "504": Says({"success": True}, 504),
    "404": Says(HTML, 404, "text/html"),
    "204": Says(b"", 204),
    "201": Says({"success": True}, 201),
    "a page": Says(HTML, 200, "text/html; charset=utf-8"),
    "a page that says it is JSON": Says(HTML),
    "JSON that says it is a page": Says("good", 200, "text/html"),
    "JSON that says it is text": Says("good", 200, "text/plain"),
    "JSON that says nothing": Says("good", 200, None),
    "nothing": Says(b""),
    "half of it": Says("half"),
    "what is no text": Says(b"\xff\xfe\x00"),
    "a connection broken off": Says("good", cut=True),
}


@pytest.mark.parametrize("how", OUT)
def test_what_is_no_answer_is_an_outage(captcha: Captcha, known: Known, outside: Outside, how: str) -> None:
    answer = OUT[how]
    if answer.body in ("good", "half"):
        whole = json.dumps(known.good).encode()
        content = whole[: len(whole) // 2] if answer.body == "half" else whole
        answer = Says(content, answer.status, answer.content_type, cut=answer.cut)
    outside.say(answer)
    with pytest.raises(ProviderOut):
        verified(captcha)


def test_a_provider_that_is_asked_too_often_is_not_out(captcha: Captcha, outside: Outside) -> None:
    """Anybody can ask it by way of us, as often as they like."""
    outside.say(Says({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429))
    with pytest.raises(AskedTooOften):
        verified(captcha)
    assert len(outside.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(captcha: Captcha, outside: Outside, status: int) -> None:
    outside.rule = lambda asked: Says(
        siteverify(score=0.9, action=ACTION), status if asked.path != "/else" else 200, headers={"Location": "/else"}
    )
    with pytest.raises(ProviderOut):
        verified(captcha)
    assert "/else" not in {asked.path for asked in outside.asked}


@pytest.mark.parametrize("status", [400, 413, 414, 422, 431])
@pytest.mark.parametrize("body", [{"error": {"code": 400, "message": "Request contains an invalid argument."}}, HTML])
def test_a_request_that_a_token_may_have_spoilt_is_a_refusal(
    captcha: Captcha, outside: Outside, status: int, body: Any
) -> None:
    """Else anybody could make an outage up, and come in by it where the tenant admits people then."""
    outside.say(Says(body, status))
    verdict = verified(captcha)
    assert isinstance(verdict, NotSolved)
    assert verdict.is_odd


def test_a_provider_that_is_slow_is_out(
    captcha: Captcha, known: Known, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_TIMEOUT", httpx.Timeout(0.2))
    outside.say(Says(known.good, after=0.6))
    with pytest.raises(ProviderOut, match="ReadTimeout"):
        known.make(outside.url, calls.Calls()).verify(TOKEN, ACTION, ADDRESS)


def test_nobody_waits_longer_than_a_buyer_would() -> None:
    once = calls._TIMEOUT.connect, calls._TIMEOUT.read
    assert once == (1.5, 2.0)


def test_a_provider_that_is_not_there_is_out(known: Known, outside: Outside) -> None:
    outside.stop()
    with pytest.raises(ProviderOut, match="ConnectError"):
        verified(known.make(outside.url, CALLS))


UNCLEAR: list[Callable[[dict[str, Any]], Any]] = [
    lambda good: [],
    lambda good: [good],
    lambda good: {},
    lambda good: None,
    lambda good: "success",
    lambda good: 1,
    lambda good: True,
    lambda good: {"result": good},
]


@pytest.mark.parametrize("number", range(len(UNCLEAR)))
def test_an_answer_of_another_shape_refuses(captcha: Captcha, known: Known, outside: Outside, number: int) -> None:
    outside.say(UNCLEAR[number](known.good))
    verdict = verified(captcha)
    assert isinstance(verdict, NotSolved)
    assert verdict.is_odd


MOMENTS: list[Any] = ["", "yesterday", "2027-03-01T10:00:00", "2027-03-01", 1_803_895_200, None, {}, True]
SCORES: list[Any] = [None, "0.9", "", True, -0.1, 1.1, [0.9], float("nan"), float("inf"), 10**400]
TEXTS: list[Any] = [None, 1, ["shop.example.com"], {}, True]


def spoilt(provider: str) -> list[dict[str, Any]]:
    """Return what a provider answers for a good token, each time with one field that is missing or no good."""
    good = PROVIDERS[provider].good
    if provider == "recaptcha_enterprise":
        token = [("hostname", TEXTS), ("action", TEXTS), ("createTime", MOMENTS), ("valid", [1, "true", None])]
        wrong = [assessment({field: value}) for field, values in token for value in values]
        wrong += [assessment(risk={"score": value}) for value in SCORES]
        for part, field in [("tokenProperties", field) for field, _ in token] + [("riskAnalysis", "score")]:
            wrong.append(good | {part: {key: value for key, value in good[part].items() if key != field}})
        return [*wrong, good | {"riskAnalysis": None}, good | {"tokenProperties": None}, {"name": good["name"]}]
    fields: dict[str, list[Any]] = {"success": [1, "true", None], "hostname": TEXTS, "challenge_ts": MOMENTS}
    if provider == "recaptcha":
        fields |= {"score": SCORES}
    if provider in ("recaptcha", "turnstile"):
        fields |= {"action": TEXTS}
    wrong = [good | {field: value} for field, values in fields.items() for value in values]
    wrong += [{key: value for key, value in good.items() if key != field} for field in fields]
    return [*wrong, good | {"error-codes": "none"}, good | {"error-codes": [1]}, good | {"error-codes": {}}]


def test_a_field_that_is_missing_or_of_another_kind_refuses(name: str, captcha: Captcha, outside: Outside) -> None:
    answers = spoilt(name)
    assert len(answers) > 10
    for answer in answers:
        text = json.dumps(answer).encode()
        outside.say(Says(text))
        verdict = verified(captcha)
        assert isinstance(verdict, NotSolved), text


def test_what_nobody_asked_for_is_left_aside(captcha: Captcha, known: Known, outside: Outside) -> None:
    more = {"score_reason": ["x"], "new": {"deep": [1]}, "credit": "?", "metadata": None}
    outside.say({**more, **known.good})
    assert isinstance(verified(captcha), Solved)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2027-03-01T10:00:00.250Z", SOLVED_AT_MS + 250),
        ("2027-03-01T10:00:00.250999999Z", SOLVED_AT_MS + 251),
        ("2027-03-01T11:00:00+01:00", SOLVED_AT_MS),
        ("2027-03-01T10:00:00.000000Z", SOLVED_AT_MS),
    ],
)
def test_times_are_read_as_providers_write_them(
    name: str, captcha: Captcha, known: Known, outside: Outside, text: str, milliseconds: int
) -> None:
    of_enterprise = name == "recaptcha_enterprise"
    outside.say(assessment({"createTime": text}) if of_enterprise else known.good | {"challenge_ts": text})
    verdict = verified(captcha)
    assert isinstance(verdict, Solved)
    assert abs(verdict.solved_at - milliseconds) <= 1


def once(good: dict[str, Any], used: dict[str, Any]) -> Callable[[Asked], Says]:
    """Return what a provider does that is asked twice: a token is good once, or once a key where there are keys."""
    seen: dict[str, str] = {}

    def answer(asked: Asked) -> Says:
        is_form = asked.headers["content-type"] != "application/json"
        sent = asked.form if is_form else json.loads(asked.body)["event"]
        token, key = sent.get("response") or sent["token"], sent.get("idempotency_key") or uuid.uuid4().hex
        return Says(good if seen.setdefault(token, key) == key else used)

    return answer


def test_a_token_is_good_once(captcha: Captcha, known: Known, outside: Outside) -> None:
    outside.rule = once(known.good, known.used)
    assert isinstance(verified(captcha), Solved)
    assert isinstance(verified(captcha), NotSolved)
    assert isinstance(verified(captcha, "another"), Solved)


def test_nobody_but_turnstile_is_asked_again(name: str, captcha: Captcha, known: Known, outside: Outside) -> None:
    """A second question may meet what the first has spent."""
    outside.say(Says({}, 503))
    with pytest.raises(ProviderOut):
        verified(captcha)
    assert len(outside.asked) == (2 if name == "turnstile" else 1)


@pytest.mark.parametrize(
    "first", [Says({}, 503), Says({"success": False, "error-codes": ["internal-error"]}), Says(HTML, 200, "text/html")]
)
def test_turnstile_is_asked_again_under_the_same_key(first: Says, outside: Outside) -> None:
    outside.say(first, PROVIDERS["turnstile"].good)
    assert isinstance(verified(PROVIDERS["turnstile"].make(outside.url, CALLS)), Solved)
    one, other = outside.asked
    assert one.form == other.form


@pytest.mark.parametrize("provider", SITEVERIFY)
def test_an_error_inside_the_provider_is_an_outage(provider: str, outside: Outside) -> None:
    outside.say({"success": False, "error-codes": ["internal-error"]})
    with pytest.raises(ProviderOut):
        verified(PROVIDERS[provider].make(outside.url, CALLS))


def test_no_token_of_turnstile_is_longer_than_2048_characters(outside: Outside) -> None:
    outside.say(PROVIDERS["turnstile"].good)
    captcha = PROVIDERS["turnstile"].make(outside.url, CALLS)
    assert isinstance(verified(captcha, "x" * 2_049), NotSolved)
    assert not outside.asked
    assert isinstance(verified(captcha, "x" * 2_048), Solved)


@pytest.mark.parametrize("token", ["x" * 8_192, "a&secret=other&response=b", "%00", "'\"<>;\\"])
def test_whatever_is_in_a_token_stays_in_it(name: str, captcha: Captcha, outside: Outside, token: str) -> None:
    outside.say(PROVIDERS[name].forged)
    verified(captcha, token)
    for asked in outside.asked:
        is_form = asked.headers["content-type"] != "application/json"
        assert (asked.form["response"] if is_form else json.loads(asked.body)["event"]["token"]) == token
        assert not is_form or asked.form["secret"] == SECRET


def test_a_project_is_no_path(outside: Outside) -> None:
    from holdfast.abuse.captcha.recaptcha_enterprise import RecaptchaEnterprise

    outside.say(assessment())
    secret = {"api_key": SECRET, "base_url": outside.url}
    verified(RecaptchaEnterprise(secret, "../../x?y#z", "site-key", CALLS))
    assert outside.asked[0].path == "/v1/projects/..%2F..%2Fx%3Fy%23z/assessments"


@pytest.mark.parametrize(
    "secret",
    [
        {},
        {"secret": "", "api_key": ""},
        {"secret": 1, "api_key": None},
        {"secret": "s", "api_key": "s", "base_url": "http://elsewhere.example.com"},
        {"secret": "s", "api_key": "s", "base_url": "ftp://127.0.0.1"},
    ],
)
def test_credentials_that_are_none_are_told_by_the_names_of_their_fields(name: str, secret: dict[str, Any]) -> None:
    from holdfast.abuse.captcha.hcaptcha import HCaptcha
    from holdfast.abuse.captcha.recaptcha import Recaptcha
    from holdfast.abuse.captcha.recaptcha_enterprise import RecaptchaEnterprise
    from holdfast.abuse.captcha.turnstile import Turnstile

    makers: dict[str, Callable[[], Captcha]] = {
        "recaptcha": lambda: Recaptcha(secret, CALLS),
        "recaptcha_enterprise": lambda: RecaptchaEnterprise(secret, "p", "k", CALLS),
        "hcaptcha": lambda: HCaptcha(secret, "k", CALLS),
        "turnstile": lambda: Turnstile(secret, CALLS),
    }
    with pytest.raises(SecretUnreadable, match=r"not as they have to be: (secret|api_key|base_url)"):
        makers[name]()
