"""Settings: one validated model a function, wrong ones refused by name before anything is done."""

import pytest
from pydantic import ValidationError

from holdfast.platform.settings import (
    SETTINGS_BY_FUNCTION,
    OriginSettings,
    ProductsSettings,
    PublicSettings,
    ReservationsSettings,
    Settings,
    TokenSettings,
    settings,
)

GOOD = {
    "TABLE_NAME": "main",
    "IDENTITY_TABLE_NAME": "identity",
    "EXPIRY_QUEUE_URL": "https://sqs.example/queue",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
    "HOLD_SECONDS": "600",
    "HOLD_SECONDS_MAX": "3600",
    "LISTING_HOLD_SECONDS": "900",
    "VENUE_HOLD_SECONDS": "900",
    "EXTEND_SECONDS": "300",
    "DEFAULT_CURRENCY": "USD",
    "CHECKOUT_SECONDS": "600",
    "CHECKOUT_WORKFLOW_ARN": "arn:aws:states:eu-central-1:123456789012:stateMachine:holdfast-checkout",
    "REFUND_WORKFLOW_ARN": "arn:aws:states:eu-central-1:123456789012:stateMachine:holdfast-refund",
    "SECRETS_PREFIX": "/holdfast",
    "SYNC_TABLE_NAME": "sync",
    "SYNC_QUEUE_URL": "https://sqs.example/pairs",
    "DEFAULT_PAYMENT_PROVIDERS": "stripe,razorpay",
    "PUBLIC_DOMAIN": "tickets.example",
    "TOKEN_ISSUER": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_pool",
    "TOKEN_CLIENT_ID": "client",
    "JWKS_URL": "http://localhost:3000/eu-central-1_pool/.well-known/jwks.json",
    "USER_POOL_ID": "eu-central-1_pool",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("model", SETTINGS_BY_FUNCTION.values(), ids=SETTINGS_BY_FUNCTION.keys())
def test_every_function_reads_its_settings(model: type[Settings]) -> None:
    assert settings(model)


@pytest.mark.parametrize("model", SETTINGS_BY_FUNCTION.values(), ids=SETTINGS_BY_FUNCTION.keys())
def test_a_missing_setting_is_refused_by_its_name(model: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (str(field.alias) for field in model.model_fields.values() if field.is_required()):
        with monkeypatch.context() as without:
            without.delenv(name)
            with pytest.raises(ValidationError, match=name):
                settings(model)


@pytest.mark.parametrize("value", ["", "0", "-1", "86401", "ten", "1.5"])
@pytest.mark.parametrize("name", ["HOLD_SECONDS", "LISTING_HOLD_SECONDS", "VENUE_HOLD_SECONDS", "HOLD_SECONDS_MAX"])
def test_a_hold_length_is_a_number_of_seconds_up_to_a_day(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name):
        settings(ReservationsSettings)


def test_an_extension_may_be_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTEND_SECONDS", "0")
    assert settings(ReservationsSettings).extend_seconds == 0


@pytest.mark.parametrize("value", ["", "usd", "US", "DOLLAR"])
def test_a_currency_is_three_capitals(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_CURRENCY", value)
    with pytest.raises(ValidationError, match="DEFAULT_CURRENCY"):
        settings(ProductsSettings)


@pytest.mark.parametrize(
    "value", ["Tickets.example", "tickets", ".example", "tickets.example.", "a b.example", "*.a.b"]
)
def test_a_public_domain_is_a_host_name_or_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_DOMAIN", value)
    with pytest.raises(ValidationError, match="PUBLIC_DOMAIN"):
        settings(PublicSettings)
    for good in ("", "tickets.example"):
        monkeypatch.setenv("PUBLIC_DOMAIN", good)
        assert settings(PublicSettings).public_domain == good


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_ISSUER", "http://cognito-idp.eu-central-1.amazonaws.com/pool"),
        ("TOKEN_ISSUER", ""),
        ("TOKEN_CLIENT_ID", ""),
        ("JWKS_URL", "file:///etc/passwd"),
    ],
)
def test_tokens_are_not_taken_from_just_anybody(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name):
        settings(TokenSettings)


def test_without_a_word_no_page_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOWED_ORIGINS", raising=False)
    assert settings(OriginSettings).allowed_origins == ""


def test_settings_are_not_changed_once_read() -> None:
    with pytest.raises(ValidationError):
        settings(ProductsSettings).table_name = "other"  # type: ignore[misc]
