"""Which payment providers a tenant uses: what it chose, else what its stage gives to everybody."""

from collections.abc import Sequence
from enum import StrEnum

from holdfast.platform.dynamodb import Store, Update
from holdfast.platform.order_items import PaymentSettingsItem
from holdfast.platform.tables import Keys


class PaymentProviderName(StrEnum):
    """The payment providers that a tenant may use."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"
    RAZORPAY = "razorpay"


class ProvidersUsed:
    """The payment providers of all tenants, kept in the main table."""

    def __init__(self, store: Store, default: str) -> None:
        """Take those of tenants that have not chosen any, separated by commas; an empty text is none."""
        self._store = store
        self._default = [name for name in default.split(",") if name]

    def of(self, tenant: str) -> list[str]:
        """Return the names of the providers that a tenant uses, the first of them unless a checkout names another."""
        item = self._store.get(PaymentSettingsItem, Keys(tenant).payment_settings())
        return list(self._default) if item is None else list(item.providers)

    def may_have_used(self, tenant: str, name: str) -> bool:
        """Return whether a tenant uses a provider, or chose its own and so may have used it before."""
        item = self._store.get(PaymentSettingsItem, Keys(tenant).payment_settings())
        return item is not None or name in self._default

    def choose(self, tenant: str, providers: Sequence[PaymentProviderName], now: int) -> None:
        """Let a tenant use these from `now` (ms) on, whatever it used before; the item of its settings is written."""
        actions = [
            PaymentSettingsItem.providers.set([name.value for name in providers]),
            PaymentSettingsItem.version.add(1),
            PaymentSettingsItem.updated_at.set(now),
        ]
        self._store.write(Update(Keys(tenant).payment_settings(), actions))
