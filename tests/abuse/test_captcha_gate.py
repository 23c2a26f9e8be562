"""The gate: who has to pass it, with what, what it asks of whom, what it logs, and what it leaves behind."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.abuse.captcha import gate as door
from holdfast.abuse.captcha.registry import Captchas
from holdfast.abuse.captcha.spent import CaptchaItem
from holdfast.identity.tenant_settings import TenantCaptcha, TenantCaptchaProvider
from holdfast.platform.caller import Caller
from holdfast.platform.dynamodb import Cancelled, Put, Store, Write
from holdfast.platform.errors import CaptchaFailed, CaptchaRequired, CaptchaUnavailable, HoldfastError
from holdfast.platform.logs import logger
from holdfast.platform.policy import CaptchaPolicy
from holdfast.platform.secrets import SecretMissing, SecretUnreadable
from tests.abuse.outside import ADDRESS, HOST, PROVIDERS, SECRET, SOLVED_AT_MS, Asked, Outside, Says

ROOT = Path(__file__).resolve().parents[2]
TENANT, TOKEN = "demo", "03AFcWeA5dqv-_.x"


class Kept(dict[str, Any]):
    """Secrets that are kept here; `None` is one that cannot be read."""

    def read(self, name: str) -> Mapping[str, Any]:
        """Return one of them."""
        if name not in self:
            raise SecretMissing(f"/holdfast/{name} is not there")
        if self[name] is None:
            raise SecretUnreadable(f"/holdfast/{name} cannot be read")
        found: Mapping[str, Any] = self[name]
        return found


class Clock:
    """A clock in the hand of the test."""

    milliseconds = SOLVED_AT_MS + 3_000

    def now(self) -> int:
        """Return the time that was set."""
        return self.milliseconds


@pytest.fixture
def secrets(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The tenant's credentials at every provider, all of which are at the one server."""
    kept = Kept()
    for provider in PROVIDERS:
        name = "api_key" if provider == "recaptcha_enterprise" else "secret"
        kept[f"captcha/{TENANT}/{provider}"] = {name: SECRET, "base_url": outside.url}
    captchas = Captchas(kept, Clock())
    monkeypatch.setattr(door, "_captchas", lambda: captchas)
    return kept


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged."""
    handler = logger().logger_handler
    assert isinstance(handler, logging.StreamHandler)
    text = io.StringIO()
    before = handler.setStream(text)
    yield text
    handler.setStream(before)


def policy_of(provider: str = "sandbox", **more: Any) -> CaptchaPolicy:
    """Return a tenant's policy."""
    project = "my-project" if provider == "recaptcha_enterprise" else None
    return CaptchaPolicy(provider, "site-key", (HOST,), project=project, **more)


def caller_of(policy: CaptchaPolicy | None, *roles: str) -> Caller:
    """Return a caller of the tenant, a customer unless told otherwise."""
    settings = json.dumps({} if policy is None else {"captcha": asdict(policy)})
    return Caller(TENANT, "alice", frozenset(roles or {"customer"}), settings=settings)


def passing(
    policy: CaptchaPolicy, token: str | None, *roles: str, action: str = "reserve", address: str = ADDRESS
) -> list[Write]:
    """Pass the gate and return what is to be written; raises what refuses."""
    gate = door.gate_of(caller_of(policy, *roles), token, action, address)
    assert gate is not None
    return list(gate.let_in())


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged, line by line; no secret and no token is ever in it."""
    text = log.getvalue()
    assert SECRET not in text
    assert TOKEN not in text
    return [json.loads(line) for line in text.splitlines()]


def test_the_gate_is_only_where_the_tenant_wants_it() -> None:
    assert door.gate_of(caller_of(None), None, "reserve", ADDRESS) is None


@pytest.mark.parametrize(
    ("roles", "asks", "is_asked"),
    [
        (("customer",), True, True),
        (("customer",), False, True),
        (("staff",), False, True),
        (("admin",), False, True),
        (("service",), True, True),
        (("service",), False, False),
        (("service", "staff"), False, False),
    ],
)
def test_a_tenant_s_own_servers_may_be_spared_and_nobody_else(
    roles: tuple[str, ...], asks: bool, is_asked: bool
) -> None:
    caller = caller_of(policy_of(asks_service_keys=asks), *roles)
    assert (door.gate_of(caller, None, "reserve", ADDRESS) is not None) == is_asked


@pytest.mark.parametrize("token", [None, ""])
def test_nobody_passes_without_a_token(secrets: Kept, outside: Outside, token: str | None) -> None:
    for provider in TenantCaptchaProvider:
        with pytest.raises(CaptchaRequired):
            passing(policy_of(provider), token)
    assert not outside.asked


@pytest.mark.parametrize(
    "token", ["x" * 8_193, "x y", " pass", "pass\n", "päss", "pass\x7f", "\x00", "\ud800", "🎟", "<b>"]
)
def test_what_no_provider_gives_is_refused_without_asking(secrets: Kept, outside: Outside, token: str) -> None:
    for provider in TenantCaptchaProvider:
        with pytest.raises(CaptchaFailed):
            passing(policy_of(provider, admits_in_outage=True), token)
    assert not outside.asked


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_good_token_passes_and_is_spent_by_one_write(secrets: Kept, outside: Outside, provider: str) -> None:
    outside.say(PROVIDERS[provider].good)
    (write,) = passing(policy_of(provider), TOKEN)
    assert isinstance(write, Put)
    assert isinstance(write.item, CaptchaItem)
    assert write.item.pk.startswith(f"{TENANT}#CAPTCHA#")
    assert TOKEN not in write.item.pk
    assert write.item.ttl * 1000 > SOLVED_AT_MS + 600_000
    assert len(outside.asked) == 1


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_provider_is_asked_once_however_often_the_gate_is_passed(
    secrets: Kept, outside: Outside, provider: str
) -> None:
    outside.say(PROVIDERS[provider].good)
    gate = door.gate_of(caller_of(policy_of(provider)), TOKEN, "reserve", ADDRESS)
    assert gate is not None
    assert not outside.asked
    assert gate.let_in() == gate.let_in()
    assert len(outside.asked) == 1


@pytest.mark.parametrize("provider", ["recaptcha", "recaptcha_enterprise", "turnstile"])
def test_a_token_for_something_else_is_refused(
    secrets: Kept, outside: Outside, provider: str, log: io.StringIO
) -> None:
    outside.say(PROVIDERS[provider].good)
    with pytest.raises(CaptchaFailed):
        passing(policy_of(provider), TOKEN, action="checkout")
    (line,) = lines(log)
    assert (line["level"], line["provider"], line["action"], line["why"]) == ("INFO", provider, "checkout", "action")


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_token_of_another_s_page_is_refused(secrets: Kept, outside: Outside, provider: str) -> None:
    outside.say(PROVIDERS[provider].good)
    with pytest.raises(CaptchaFailed):
        passing(replace(policy_of(provider), hosts=("www.example.com",)), TOKEN)


@pytest.mark.parametrize("provider", ["recaptcha", "recaptcha_enterprise"])
def test_a_score_below_the_tenant_s_is_refused(secrets: Kept, outside: Outside, provider: str) -> None:
    outside.say(PROVIDERS[provider].good)
    with pytest.raises(CaptchaFailed):
        passing(policy_of(provider, minimum_score=0.95), TOKEN)
    assert passing(policy_of(provider, minimum_score=0.9), TOKEN)


@pytest.mark.parametrize(
    ("provider", "seconds"), [("recaptcha", 120), ("recaptcha_enterprise", 120), ("hcaptcha", 300), ("turnstile", 300)]
)
def test_a_token_gets_too_old(
    secrets: Kept, outside: Outside, provider: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside.say(PROVIDERS[provider].good)
    monkeypatch.setattr(Clock, "milliseconds", SOLVED_AT_MS + (seconds + 60) * 1000)
    assert passing(policy_of(provider), TOKEN)
    monkeypatch.setattr(Clock, "milliseconds", SOLVED_AT_MS + (seconds + 60) * 1000 + 1)
    with pytest.raises(CaptchaFailed):
        passing(policy_of(provider), TOKEN)


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize("kind", ["forged", "used", "odd"])
@pytest.mark.parametrize("admits", [False, True])
def test_what_a_provider_refuses_is_refused_in_every_case(
    secrets: Kept, outside: Outside, provider: str, kind: str, admits: bool, log: io.StringIO
) -> None:
    outside.say(getattr(PROVIDERS[provider], kind))
    with pytest.raises(CaptchaFailed) as refusal:
        passing(policy_of(provider, admits_in_outage=admits), TOKEN)
    assert refusal.value.sentence == CaptchaFailed.sentence
    (line,) = lines(log)
    assert line["level"] == ("ERROR" if kind == "odd" else "INFO")


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_unclear_answers_are_refusals_where_outages_admit(secrets: Kept, outside: Outside, provider: str) -> None:
    for answer in (Says({}), Says([]), Says({"success": "true"}), Says(b"<html>", 400, "text/html"), Says({}, 413)):
        outside.say(answer)
        with pytest.raises(CaptchaFailed):
            passing(policy_of(provider, admits_in_outage=True), TOKEN)


OUTAGES = [Says({}, 503), Says(b"<html>", 200, "text/html"), Says(b"{"), Says({}, 404)]
"""What a provider may say when it is out."""


def not_outages(provider: str) -> list[Says]:
    """Return what else it may say that lets nothing be known: anybody's to bring about, or ours to mend."""
    return [Says({}, 429), Says({}, 401), Says(b"<html>", 403, "text/html"), PROVIDERS[provider].secret_refused]


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_nobody_is_let_in_while_a_provider_is_out(
    secrets: Kept, outside: Outside, provider: str, log: io.StringIO
) -> None:
    for answer in OUTAGES + not_outages(provider):
        outside.say(answer)
        with pytest.raises(CaptchaUnavailable) as refusal:
            passing(policy_of(provider), TOKEN)
        assert refusal.value.retry_after == 5
    assert {line["level"] for line in lines(log)} == {"ERROR"}
    assert len(lines(log)) == len(OUTAGES + not_outages(provider))


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_tenant_may_let_everybody_in_meanwhile_each_token_once(
    secrets: Kept, outside: Outside, provider: str, log: io.StringIO
) -> None:
    for answer in OUTAGES:
        outside.say(answer)
        (write,) = passing(policy_of(provider, admits_in_outage=True), TOKEN)
        assert isinstance(write, Put)
    assert {line["level"] for line in lines(log)} == {"ERROR"}


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_nobody_is_let_in_for_what_is_no_outage(
    secrets: Kept, outside: Outside, provider: str, log: io.StringIO
) -> None:
    for answer in not_outages(provider):
        outside.say(answer)
        with pytest.raises(CaptchaUnavailable):
            passing(policy_of(provider, admits_in_outage=True), TOKEN)
    del secrets[f"captcha/{TENANT}/{provider}"]
    with pytest.raises(CaptchaUnavailable):
        passing(policy_of(provider, admits_in_outage=True), TOKEN)
    assert not any(line["admitted"] for line in lines(log))


def test_a_token_is_still_needed_while_everybody_is_let_in(secrets: Kept, outside: Outside) -> None:
    outside.say(Says({}, 503))
    with pytest.raises(CaptchaRequired):
        passing(policy_of("turnstile", admits_in_outage=True), None)


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize("secret", ["missing", None, {}, {"secret": "", "api_key": ""}])
def test_without_credentials_nobody_is_let_in(
    secrets: Kept, outside: Outside, provider: str, secret: Any, log: io.StringIO
) -> None:
    if secret == "missing":
        del secrets[f"captcha/{TENANT}/{provider}"]
    else:
        secrets[f"captcha/{TENANT}/{provider}"] = secret
    with pytest.raises(CaptchaUnavailable):
        passing(policy_of(provider), TOKEN)
    assert not outside.asked
    (line,) = lines(log)
    assert (line["level"], line["kind"]) == ("ERROR", "Misconfigured")


@pytest.mark.parametrize(
    "policy", [replace(policy_of(), provider="friendly"), replace(policy_of("recaptcha_enterprise"), project=None)]
)
def test_a_provider_that_there_is_not_lets_nobody_in(secrets: Kept, policy: CaptchaPolicy) -> None:
    secrets[f"captcha/{TENANT}/friendly"] = {"secret": SECRET}
    with pytest.raises(CaptchaUnavailable):
        passing(policy, TOKEN)


def test_credentials_are_the_tenant_s_own(secrets: Kept, outside: Outside) -> None:
    outside.say(PROVIDERS["turnstile"].good)
    caller = replace(caller_of(policy_of("turnstile")), tenant="other")
    gate = door.gate_of(caller, TOKEN, "reserve", ADDRESS)
    assert gate is not None
    with pytest.raises(CaptchaUnavailable):
        gate.let_in()
    assert not outside.asked


def _address(asked: Asked) -> Any:
    if asked.headers["content-type"] == "application/json":
        return json.loads(asked.body)["event"].get("userIpAddress")
    return asked.form.get("remoteip")


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
@pytest.mark.parametrize(
    ("role", "address", "expected"),
    [
        ("customer", "192.0.2.7", "192.0.2.7"),
        ("customer", "2001:db8::1", "2001:db8::1"),
        ("customer", "unknown", None),
        ("customer", "", None),
        ("service", "192.0.2.7", None),
    ],
)
def test_providers_are_told_the_buyer_s_address_and_no_other(
    secrets: Kept, outside: Outside, provider: str, role: str, address: str, expected: str | None
) -> None:
    outside.say(PROVIDERS[provider].good)
    passing(policy_of(provider), TOKEN, role, address=address)
    assert _address(outside.asked[0]) == expected


def test_every_provider_that_a_tenant_may_choose_is_there(secrets: Kept, outside: Outside) -> None:
    captchas = door._captchas()
    made = {provider: captchas.of(TENANT, policy_of(provider)) for provider in TenantCaptchaProvider}
    assert len({type(captcha) for captcha in made.values()}) == len(TenantCaptchaProvider) == len(PROVIDERS) + 1


def test_what_a_tenant_sets_is_the_policy_that_requests_go_by() -> None:
    said = {"provider": "turnstile", "site_key": "0x4AAA", "hosts": [HOST], "admits_in_outage": True}
    settings = json.dumps({"captcha": TenantCaptcha.model_validate(said).model_dump(mode="json")})
    policy = Caller(TENANT, "alice", frozenset({"customer"}), settings=settings).policy.captcha
    assert policy == CaptchaPolicy("turnstile", "0x4AAA", (HOST,), admits_in_outage=True)


def test_a_spent_token_is_spent_for_all_but_the_request_that_spent_it(secrets: Kept, store: Store) -> None:
    (one,), (other,) = passing(policy_of(), "pass.1"), passing(policy_of(), "pass.1")
    (of_another_token,) = passing(policy_of(), "pass.2")
    store.write(one)
    store.write(one)
    with pytest.raises(Cancelled):
        store.write(other)
    store.write(of_another_token)


def test_a_write_that_is_refused_means_that_the_token_was_used(secrets: Kept, store: Store) -> None:
    store.write(passing(policy_of(), "pass.1")[0])
    gate = door.gate_of(caller_of(policy_of()), "pass.1", "reserve", ADDRESS)
    assert gate is not None
    with pytest.raises(Cancelled) as cancelled:
        store.write(gate.let_in()[0])
    refusal = gate.refusal(cancelled.value.reasons)
    assert isinstance(refusal, HoldfastError)
    assert refusal.code == CaptchaFailed.code


IMPORTED = """
import sys
import holdfast.abuse.captcha.gate
assert not {name for name in sys.modules if name.startswith("holdfast.abuse")} - {
    "holdfast.abuse", "holdfast.abuse.captcha", "holdfast.abuse.captcha.gate"
}
from holdfast.platform.caller import Caller
caller = Caller("demo", "alice", frozenset({"customer"}))
assert holdfast.abuse.captcha.gate.gate_of(caller, None, "reserve", "192.0.2.7") is None
for name in ("httpx", "boto3", "pydantic"):
    assert name not in sys.modules, name
"""


def test_nothing_is_imported_where_no_captcha_is_asked_for() -> None:
    environment = {"PYTHONPATH": str(ROOT / "layers" / "holdfast"), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
