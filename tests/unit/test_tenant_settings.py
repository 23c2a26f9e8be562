"""What tenants may set: every setting within its bounds, together short, and read by requests just as it was set."""

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.identity.tenant_settings import (
    MOST_BYTES,
    TenantCaptcha,
    TenantPatience,
    TenantSettingsBody,
    changed,
    own,
)
from holdfast.platform.errors import CurrencyNotUsed, Malformed
from holdfast.platform.money import CURRENCIES
from holdfast.platform.policy import UNSET, CaptchaPolicy, PatiencePolicy, Policy, read_policy
from holdfast.platform.settings import TenantOwnSettings

MOST = 3_600
STAGE = TenantOwnSettings.model_validate(
    {
        "DEFAULT_CURRENCY": "USD",
        "DEFAULT_PAYMENT_PROVIDERS": "sandbox",
        "HOLD_SECONDS": 600,
        "HOLD_SECONDS_MAX": MOST,
        "IDENTITY_TABLE_NAME": "identity",
        "LISTING_HOLD_SECONDS": 900,
        "TABLE_NAME": "main",
        "VENUE_HOLD_SECONDS": 900,
    }
)
CAPTCHA = {"provider": "turnstile", "site_key": "0x4AAA", "hosts": ["shop.example.com"]}
LENGTHS = ("hold_seconds", "hold_seconds_max", "listing_hold_seconds", "venue_hold_seconds")


def set_to(text: str = "", **wanted: Any) -> str:
    """Return the text of settings with these changed."""
    return changed(text, TenantSettingsBody.model_validate(wanted), STAGE)


def fault_of(text: str = "", **wanted: Any) -> dict[str, str]:
    """Return what is wrong with a change that goes beyond the stage's bounds, or against another setting."""
    with pytest.raises(Malformed) as refused:
        set_to(text, **wanted)
    return {fault.field: fault.code for fault in refused.value.faults}


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_hosts = st.lists(_labels, min_size=1, max_size=4).map(".".join)
_captchas = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["recaptcha", "hcaptcha", "turnstile", "sandbox"]),
        "site_key": st.from_regex(r"[A-Za-z0-9_.:-]{1,200}", fullmatch=True),
        "hosts": st.lists(_hosts, min_size=1, max_size=20, unique=True),
    },
    optional={
        "minimum_score": st.floats(0, 1) | st.integers(0, 1),
        "asks_service_keys": st.booleans(),
        "admits_in_outage": st.booleans(),
        "project": st.none(),
    },
)
_enterprise = _captchas.map(lambda known: known | {"provider": "recaptcha_enterprise", "project": "shop-1"})
_patience = st.fixed_dictionaries(
    {},
    optional={
        "after": st.integers(1, 1_000),
        "shortest_seconds": st.integers(1, MOST),
        "forget_seconds": st.integers(60, 2_678_400),
    },
)
_settings = {
    "branding_name": maybe(st.text(min_size=1, max_size=120)),
    **{name: maybe(st.integers(1, MOST)) for name in LENGTHS},
    "currencies": maybe(st.lists(st.sampled_from(sorted(CURRENCIES)), min_size=1, max_size=20, unique=True)),
    "reserves_per_minute": maybe(st.integers(1, 9_999)),
    "checkouts_per_minute": maybe(st.integers(1, 9_999)),
    "captcha": maybe(_captchas | _enterprise),
    "patience": maybe(_patience),
}
_changes = st.lists(st.fixed_dictionaries({}, optional=_settings), min_size=1, max_size=4)


@given(_changes)
def test_what_is_accepted_is_what_requests_go_by(changes: list[dict[str, Any]]) -> None:
    """After any changes, refused ones among them, the policy says of each setting what was set last."""
    text, last = "", dict[str, Any]()
    for change in changes:
        try:
            body = TenantSettingsBody.model_validate(change)
            text = changed(text, body, STAGE)
        except (ValidationError, Malformed):
            continue
        shown = body.model_dump(mode="json")
        last |= {name: shown[name] for name in change}
    said = {name: value for name, value in last.items() if value is not None}
    assert own(text) == said
    assert len(text.encode()) <= MOST_BYTES
    assert text.isascii()
    policy = read_policy(text)
    heeded = {name: value for name, value in said.items() if name in Policy.__dataclass_fields__}
    assert json.loads(json.dumps(asdict(policy))) == json.loads(json.dumps(asdict(UNSET))) | heeded
    assert all((getattr(policy, name) or 0) <= (policy.hold_seconds_max or MOST) for name in LENGTHS)


def test_a_request_knows_every_setting_that_it_could_go_by() -> None:
    """A setting that is added is either one of the policy's, or one that no request goes by."""
    assert set(TenantSettingsBody.model_fields) - {field.name for field in fields(Policy)} == {"branding_name"}
    assert {field.name for field in fields(Policy)} <= set(TenantSettingsBody.model_fields)
    assert TenantPatience().model_dump() == asdict(PatiencePolicy())
    known = CaptchaPolicy("turnstile", "0x4AAA", ("shop.example.com",))
    assert TenantCaptcha.model_validate(CAPTCHA).model_dump() == asdict(known) | {"hosts": list(known.hosts)}


def test_nothing_set_is_as_the_stage_has_it() -> None:
    assert read_policy("") == read_policy("{}") == read_policy(set_to()) == UNSET
    assert (set_to(), set_to("{}"), set_to(hold_seconds=None)) == ("{}", "{}", "{}")


def test_what_is_left_out_stays_and_null_takes_away() -> None:
    text = set_to(hold_seconds=60, currencies=["EUR"], captcha=CAPTCHA | {"minimum_score": 0.9})
    text = set_to(text, currencies=["GBP", "EUR"], hold_seconds=None)
    assert own(text) == {
        "currencies": ["GBP", "EUR"],
        "captcha": CAPTCHA
        | {"minimum_score": 0.9, "asks_service_keys": True, "admits_in_outage": False, "project": None},
    }
    assert own(set_to(text, captcha=CAPTCHA))["captcha"]["minimum_score"] == 0.5
    assert own(set_to(text, captcha=None)) == {"currencies": ["GBP", "EUR"]}


def test_settings_of_another_version_are_kept_and_not_minded() -> None:
    """What a newer or an older release has set does not stop this one."""
    text = json.dumps({"colour": "red", "captcha": CAPTCHA | {"theme": "dark"}, "hold_seconds": 60})
    assert read_policy(text).hold_seconds == 60
    assert read_policy(text).captcha == CaptchaPolicy("turnstile", "0x4AAA", ("shop.example.com",))
    assert own(set_to(text, hold_seconds=90))["colour"] == "red"


@pytest.mark.parametrize("name", LENGTHS)
def test_no_hold_is_longer_than_the_stages_longest(name: str) -> None:
    assert own(set_to(**{name: MOST})) == {name: MOST}
    assert fault_of(**{name: MOST + 1}) == {name: "less_than_equal"}


@pytest.mark.parametrize("name", [name for name in LENGTHS if name != "hold_seconds_max"])
def test_no_hold_is_longer_than_the_longest_that_was_set(name: str) -> None:
    """Where both are set; what the stage gives is cut to the longest instead."""
    both = {name: "settings_disagree", "hold_seconds_max": "settings_disagree"}
    assert fault_of(**{name: 600, "hold_seconds_max": 599}) == both
    short = set_to(**{name: 60, "hold_seconds_max": 60})
    assert fault_of(short, **{name: 61}) == {name: "settings_disagree"}
    assert fault_of(short, hold_seconds_max=59) == {"hold_seconds_max": "settings_disagree"}
    assert own(set_to(short, hold_seconds_max=None)) == {name: 60}
    assert own(set_to(short, **{name: None}, hold_seconds_max=1)) == {"hold_seconds_max": 1}


def test_a_stage_that_was_narrowed_stands_in_the_way_of_nothing_else() -> None:
    """What was set before is heeded up to the new bound; only what is set now is held against it."""
    long = set_to(hold_seconds=3_000, hold_seconds_max=3_000, patience={"shortest_seconds": 2_000})
    narrow = STAGE.model_copy(update={"hold_seconds_max": 900})
    again = changed(long, TenantSettingsBody(branding_name="Halls"), narrow)
    assert own(again) == own(long) | {"branding_name": "Halls"}
    for wanted in (TenantSettingsBody(hold_seconds=3_000), TenantSettingsBody(hold_seconds_max=600)):
        with pytest.raises(Malformed):
            changed(long, wanted, narrow)
    assert "hold_seconds_max" not in own(changed(long, TenantSettingsBody(hold_seconds_max=None), narrow))


def test_patience_is_no_longer_than_any_hold() -> None:
    assert fault_of(patience={"shortest_seconds": MOST + 1}) == {"patience.shortest_seconds": "less_than_equal"}
    assert read_policy(set_to(patience={})).patience == PatiencePolicy()


def test_all_settings_together_are_short_enough_to_travel() -> None:
    """Hosts may be long and many, but not both; a name of the longest letters still leaves room for the most usual."""
    hosts = [f"{number:02d}{'a' * 58}.{'b' * 60}.{'c' * 60}.{'d' * 60}.com" for number in range(20)]
    assert fault_of(captcha=CAPTCHA | {"hosts": hosts}) == {"captcha.hosts": "settings_too_long"}
    named = set_to(branding_name="\U0001f3ad" * 120, currencies=sorted(CURRENCIES)[:20], captcha=CAPTCHA)
    assert len(named) < MOST_BYTES
    assert len(set_to(captcha=CAPTCHA | {"hosts": hosts[:14]})) <= MOST_BYTES


@pytest.mark.parametrize(
    "wanted",
    [
        {"branding_name": ""},
        {"branding_name": " "},
        {"branding_name": "x" * 121},
        {"branding_name": 5},
        *({name: wrong} for name in LENGTHS for wrong in (0, -1, 86_401, 1.5, True, "60")),
        {"currencies": []},
        {"currencies": ["EUR", "EUR"]},
        {"currencies": ["eur"]},
        {"currencies": ["XYZ"]},
        {"currencies": ["XAU"]},
        {"currencies": "EUR"},
        {"currencies": sorted(CURRENCIES)[:21]},
        *({name: wrong} for name in ("reserves_per_minute", "checkouts_per_minute") for wrong in (0, -1, 10_000, True)),
        {"captcha": {}},
        {"captcha": "turnstile"},
        *({"captcha": {key: value for key, value in CAPTCHA.items() if key != name}} for name in CAPTCHA),
        {"captcha": CAPTCHA | {"provider": "geetest"}},
        {"captcha": CAPTCHA | {"site_key": ""}},
        {"captcha": CAPTCHA | {"site_key": "a b"}},
        {"captcha": CAPTCHA | {"site_key": "a" * 201}},
        {"captcha": CAPTCHA | {"hosts": []}},
        {"captcha": CAPTCHA | {"hosts": ["a.example", "a.example"]}},
        {"captcha": CAPTCHA | {"hosts": [f"h{number}.example" for number in range(21)]}},
        *(
            {"captcha": CAPTCHA | {"hosts": [host]}}
            for host in ("", "A.example", "a..example", "-a.example", "a/b", "*")
        ),
        {"captcha": CAPTCHA | {"hosts": [".".join(["a" * 50] * 6)]}},
        *({"captcha": CAPTCHA | {"minimum_score": score}} for score in (-0.1, 1.1, "0.5", True, float("nan"))),
        {"captcha": CAPTCHA | {"asks_service_keys": 1}},
        {"captcha": CAPTCHA | {"admits_in_outage": "yes"}},
        {"captcha": CAPTCHA | {"project": "shop-1"}},
        {"captcha": CAPTCHA | {"provider": "recaptcha_enterprise"}},
        {"captcha": CAPTCHA | {"secret": "x"}},
        {"patience": {"after": 0}},
        {"patience": {"after": 1_001}},
        {"patience": {"shortest_seconds": 0}},
        {"patience": {"forget_seconds": 59}},
        {"patience": {"forget_seconds": 2_678_401}},
        {"patience": {"until": 5}},
        {"colour": "red"},
    ],
    ids=repr,
)
def test_what_is_out_of_bounds_is_no_setting(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TenantSettingsBody.model_validate(wanted)


def test_a_currency_is_one_that_the_tenant_sells_in() -> None:
    some = Policy(currencies=("GBP", "EUR"))
    assert (some.currency_of(None, "USD"), some.currency_of("EUR", "USD")) == ("GBP", "EUR")
    assert (UNSET.currency_of(None, "USD"), UNSET.currency_of("EUR", "USD")) == ("USD", "EUR")
    for use in (some.must_use, lambda named: some.currency_of(named, "EUR")):
        with pytest.raises(CurrencyNotUsed) as refused:
            use("USD")
        assert [(fault.field, fault.code) for fault in refused.value.faults] == [("currency", "currency_not_used")]
    some.must_use(None)
    UNSET.must_use("USD")


def test_policies_are_told_apart_and_kept() -> None:
    text = set_to(captcha=CAPTCHA, patience={}, currencies=["EUR"])
    assert read_policy(text) is read_policy(text)
    assert asdict(read_policy(text)) != asdict(UNSET)
