"""The payment providers of tenants: whose credentials, which are used, and what a wrong secret leads to."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.checkout.payments.external import External
from holdfast.checkout.payments.port import PaymentState, RefundState
from holdfast.checkout.payments.razorpay import Razorpay
from holdfast.checkout.payments.registry import Providers
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.checkout.payments.stripe import Stripe
from holdfast.platform import secrets
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import ProviderNotUsed, ProviderUnavailable, SignatureRefused
from holdfast.platform.secrets import SecretMissing, SecretParameters, SecretUnreadable
from tests.payments.wire import ORDER, TENANT, request

NOW = 1_700_000_000_000
STRIPE = {"api_key": "sk_test_12345", "webhook_secret": "whsec_12345"}
RAZORPAY = {"key_id": "rzp_test_key", "key_secret": "key_secret_1", "webhook_secret": "webhook_secret_1"}


class SecretsByHand:
    """Secrets that a test puts there."""

    def __init__(self) -> None:
        self.asked = 0
        self.known: dict[str, Mapping[str, Any]] = {
            f"payments/{TENANT}/stripe": STRIPE,
            f"payments/{TENANT}/razorpay": RAZORPAY,
        }

    def read(self, name: str) -> Mapping[str, Any]:
        """Return the secret, or say that there is none."""
        try:
            return self.known[name]
        except KeyError:
            self.asked += 1
            raise SecretMissing(f"{name} is not there") from None


@pytest.fixture
def known() -> SecretsByHand:
    """The tenant's secrets."""
    return SecretsByHand()


@pytest.fixture
def used(store: Store) -> ProvidersUsed:
    """What tenants use, where the stage gives the sandbox to everybody."""
    return ProvidersUsed(store, "sandbox")


@pytest.fixture
def providers(store: Store, known: SecretsByHand, used: ProvidersUsed) -> Providers:
    """All providers."""
    return Providers(store, known, used)


def test_a_tenant_uses_what_its_stage_gives_until_it_chooses(used: ProvidersUsed, providers: Providers) -> None:
    assert providers.used_by(TENANT) == ["sandbox"]
    used.choose(TENANT, [PaymentProviderName.STRIPE, PaymentProviderName.RAZORPAY], NOW)
    assert providers.used_by(TENANT) == ["stripe", "razorpay"]
    used.choose(TENANT, [PaymentProviderName.RAZORPAY], NOW)
    assert providers.used_by(TENANT) == ["razorpay"]
    assert providers.used_by("another") == ["sandbox"]


def test_a_stage_may_give_nothing(store: Store) -> None:
    assert ProvidersUsed(store, "").of(TENANT) == []
    assert ProvidersUsed(store, "stripe,sandbox").of(TENANT) == ["stripe", "sandbox"]


@pytest.mark.parametrize(
    ("name", "kind"), [("sandbox", Sandbox), ("stripe", Stripe), ("razorpay", Razorpay), ("external", External)]
)
def test_every_provider_is_there_by_its_name_for_what_was_paid_through_it(
    providers: Providers, name: str, kind: type
) -> None:
    found = providers.provider(TENANT, name)
    assert isinstance(found, kind)
    assert found.name == name


@pytest.mark.parametrize("name", ["", "paypal", "Stripe", "free"])
def test_another_name_is_no_provider(providers: Providers, name: str) -> None:
    with pytest.raises(ProviderNotUsed):
        providers.provider(TENANT, name)
    with pytest.raises(ProviderNotUsed):
        providers.for_webhook(TENANT, name)


def test_webhooks_of_what_anybody_can_sign_are_heard_only_where_it_is_used(
    providers: Providers, used: ProvidersUsed
) -> None:
    assert isinstance(providers.for_webhook(TENANT, "sandbox"), Sandbox)
    used.choose(TENANT, [PaymentProviderName.STRIPE], NOW)
    for name in ("sandbox", "external"):
        with pytest.raises(ProviderNotUsed):
            providers.for_webhook(TENANT, name)
    with pytest.raises(ProviderNotUsed):
        providers.sandbox(TENANT)


def test_webhooks_of_a_provider_that_a_tenant_has_left_are_heard(providers: Providers, used: ProvidersUsed) -> None:
    for chosen in (PaymentProviderName.STRIPE, PaymentProviderName.RAZORPAY):
        used.choose(TENANT, [chosen], NOW)
        assert isinstance(providers.for_webhook(TENANT, "stripe"), Stripe)
        assert isinstance(providers.for_webhook(TENANT, "razorpay"), Razorpay)


def test_webhooks_for_tenants_that_are_made_up_ask_for_no_secrets(
    providers: Providers, known: SecretsByHand, used: ProvidersUsed
) -> None:
    with pytest.raises(ProviderNotUsed):
        providers.for_webhook("made-up", "stripe")
    assert known.asked == 0
    used.choose("careless", [PaymentProviderName.STRIPE], NOW)
    with pytest.raises(ProviderNotUsed):
        providers.for_webhook("careless", "stripe")
    assert known.asked == 1


def test_a_webhook_that_cannot_be_checked_just_now_is_to_be_sent_again(
    providers: Providers, known: SecretsByHand, used: ProvidersUsed
) -> None:
    used.choose(TENANT, [PaymentProviderName.STRIPE], NOW)
    known.known[f"payments/{TENANT}/stripe"] = {}
    with pytest.raises(ProviderUnavailable):
        providers.for_webhook(TENANT, "stripe")


def test_a_provider_keeps_its_connections_until_its_credentials_change(
    providers: Providers, known: SecretsByHand
) -> None:
    first = providers.provider(TENANT, "stripe")
    assert providers.provider(TENANT, "stripe") is first
    known.known[f"payments/{TENANT}/stripe"] = STRIPE | {"api_key": "sk_test_67890"}
    second = providers.provider(TENANT, "stripe")
    assert second is not first
    assert providers.provider(TENANT, "stripe") is second


def test_each_tenant_has_credentials_of_its_own(providers: Providers, known: SecretsByHand) -> None:
    known.known["payments/another/stripe"] = STRIPE
    assert providers.provider("another", "stripe") is not providers.provider(TENANT, "stripe")
    with pytest.raises(ProviderUnavailable):
        providers.provider("third", "stripe")


def test_many_tenants_do_not_keep_connections_for_ever(providers: Providers, known: SecretsByHand) -> None:
    first = providers.provider(TENANT, "stripe")
    for number in range(60):
        known.known[f"payments/t{number}/stripe"] = STRIPE
        providers.provider(f"t{number}", "stripe")
    assert len(providers._made) == 50
    assert providers.provider(TENANT, "stripe") is not first


@pytest.mark.parametrize(
    "secret", [None, {}, {"api_key": "sk_live_to_hide"}, STRIPE | {"base_url": "http://elsewhere.example"}]
)
def test_a_missing_or_malformed_secret_is_logged_without_what_it_holds(
    providers: Providers,
    known: SecretsByHand,
    secret: dict[str, Any] | None,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    del known.known[f"payments/{TENANT}/stripe"]
    if secret is not None:
        known.known[f"payments/{TENANT}/stripe"] = secret
    with pytest.raises(ProviderUnavailable):
        providers.provider(TENANT, "stripe")
    printed = capsys.readouterr()
    logged = printed.out + printed.err + caplog.text
    assert "a payment provider's credentials" in logged
    assert not any(value in logged for value in ["sk_live_to_hide", "elsewhere", *STRIPE.values()])


def test_what_is_paid_elsewhere_is_believed_and_remembered_by_nobody() -> None:
    external = External()
    made = external.authorise(request())
    assert (made.id, made.state) == (f"external-{ORDER}-1", PaymentState.AUTHORISED)
    assert external.find_by_order(request()) == made
    assert external.find(made.id) is None
    taken = external.capture(made, "capture")
    assert (taken.state, taken.captured_minor) == (PaymentState.CAPTURED, 5_000)
    assert external.void(made, "void").state is PaymentState.VOIDED
    assert external.refund(taken, 1_500, "refund").state is RefundState.PAID
    with pytest.raises(SignatureRefused):
        external.read_event(b"{}", {}, NOW)


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The parameter store of an account, and a function that is cold."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        _make_cold()
        yield boto3.client("ssm")
        _make_cold()


def _make_cold() -> None:
    secrets.client.cache_clear()
    secrets._parameters.cache_clear()


def test_a_secret_is_a_parameter_that_is_asked_for_once_in_five_minutes(parameters: Any) -> None:
    name = f"/holdfast/payments/{TENANT}/stripe"
    parameters.put_parameter(Name=name, Value=json.dumps(STRIPE), Type="SecureString")
    store = SecretParameters("/holdfast")
    assert store.read(f"payments/{TENANT}/stripe") == STRIPE
    parameters.put_parameter(
        Name=name, Value=json.dumps(STRIPE | {"api_key": "new"}), Type="SecureString", Overwrite=True
    )
    assert store.read(f"payments/{TENANT}/stripe") == STRIPE
    _forget_after_five_minutes()
    assert store.read(f"payments/{TENANT}/stripe") == STRIPE | {"api_key": "new"}


def _forget_after_five_minutes() -> None:
    """Let what is kept be as old as it may be."""
    kept = secrets._parameters().store
    for key, value in kept.items():
        kept[key] = value._replace(ttl=value.ttl - timedelta(seconds=300))


@pytest.mark.parametrize("text", ["sk_live_to_hide", "[]", '"sk_live_to_hide"', "{", "[" * 100_000])
def test_a_secret_that_is_no_json_object_is_refused_without_being_told(parameters: Any, text: str) -> None:
    parameters.put_parameter(Name="/holdfast/payments/demo/stripe", Value=text[:4_000], Type="SecureString")
    with pytest.raises(SecretUnreadable) as raised:
        SecretParameters("/holdfast").read("payments/demo/stripe")
    assert "sk_live_to_hide" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_secret_that_is_not_there_is_missed_once_a_minute(parameters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SecretParameters("/holdfast")
    for _ in range(2):
        with pytest.raises(SecretMissing, match="/holdfast/payments/demo/stripe"):
            store.read("payments/demo/stripe")
        parameters.put_parameter(
            Name="/holdfast/payments/demo/stripe", Value=json.dumps(STRIPE), Type="SecureString", Overwrite=True
        )
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert store.read("payments/demo/stripe") == STRIPE


def test_what_is_missed_is_not_remembered_without_bounds(parameters: Any) -> None:
    store = SecretParameters("/holdfast")
    store._missing.update({str(number): 1e12 for number in range(1_000)})
    with pytest.raises(SecretMissing):
        store.read("payments/demo/stripe")
    assert len(store._missing) == 1


def test_a_parameter_store_that_does_not_answer_says_nothing_of_the_secret(
    parameters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets.client(), "get_parameter", _no_answer)
    with pytest.raises(SecretUnreadable) as raised:
        SecretParameters("/holdfast").read("payments/demo/stripe")
    assert not isinstance(raised.value, SecretMissing)


def test_a_secret_is_used_as_it_was_while_the_parameter_store_does_not_answer(
    parameters: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "/holdfast/payments/demo/stripe"
    parameters.put_parameter(Name=name, Value=json.dumps(STRIPE), Type="SecureString")
    store = SecretParameters("/holdfast")
    store.read("payments/demo/stripe")
    asked = []

    def throttled(**_: Any) -> None:
        asked.append(1)
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "GetParameter")

    real = secrets.client().get_parameter
    monkeypatch.setattr(secrets.client(), "get_parameter", throttled)
    _forget_after_five_minutes()
    assert [store.read("payments/demo/stripe") for _ in range(3)] == [STRIPE] * 3
    assert len(asked) == 1
    assert "a secret is used as it was" in caplog.text
    assert not any(value in str(vars(record)) for record in caplog.records for value in STRIPE.values())

    new = STRIPE | {"api_key": "sk_test_67890"}
    parameters.put_parameter(Name=name, Value=json.dumps(new), Type="SecureString", Overwrite=True)
    monkeypatch.setattr(secrets.client(), "get_parameter", real)
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert store.read("payments/demo/stripe") == new


def test_a_secret_that_was_taken_away_is_not_used_as_it_was(parameters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "/holdfast/payments/demo/stripe"
    parameters.put_parameter(Name=name, Value=json.dumps(STRIPE), Type="SecureString")
    store = SecretParameters("/holdfast")
    store.read("payments/demo/stripe")
    parameters.delete_parameter(Name=name)
    _forget_after_five_minutes()
    with pytest.raises(SecretMissing):
        store.read("payments/demo/stripe")
    monkeypatch.setattr(secrets.client(), "get_parameter", _no_answer)
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with pytest.raises(SecretUnreadable):
        store.read("payments/demo/stripe")


def test_the_parameter_store_is_asked_slower_where_it_is_asked_too_much_and_in_time_for_a_step(parameters: Any) -> None:
    config = secrets.client().meta.config
    assert config.retries == {"mode": "adaptive", "total_max_attempts": 5}
    assert (config.connect_timeout + config.read_timeout) * 5 <= 15


def _no_answer(**_: Any) -> None:
    raise ConnectTimeoutError(endpoint_url="https://ssm.example")
