"""Settings: one validated model a function, wrong ones refused by name before anything is done."""

import pytest
from pydantic import ValidationError

from holdfast.platform.settings import (
    SETTINGS_BY_FUNCTION,
    ProductsSettings,
    ReservationsSettings,
    Settings,
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
    "DEFAULT_PAYMENT_PROVIDERS": "stripe,razorpay",
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
    for field in model.model_fields.values():
        name = str(field.alias)
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


def test_settings_are_not_changed_once_read() -> None:
    with pytest.raises(ValidationError):
        settings(ProductsSettings).table_name = "other"  # type: ignore[misc]
