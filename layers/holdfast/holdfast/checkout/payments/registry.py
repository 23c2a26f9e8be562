"""The payment providers by name, each with the credentials of the tenant that it is used for.

Credentials are secrets named `payments/<tenant>/<provider>`. A provider that a tenant has left still serves what was
paid through it; the sandbox's webhooks, which anybody can sign, are heard only where a tenant uses the sandbox.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from holdfast.checkout.payment_settings import PaymentProviderName, ProvidersUsed
from holdfast.checkout.payments.external import External
from holdfast.checkout.payments.port import Provider
from holdfast.checkout.payments.sandbox import Sandbox
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import ProviderNotUsed, ProviderUnavailable
from holdfast.platform.logs import logger
from holdfast.platform.secrets import SecretMissing, Secrets, SecretUnreadable

_KEPT = 50
"""Providers that one warm function keeps connections to."""

_WITH_SECRET = frozenset({PaymentProviderName.STRIPE, PaymentProviderName.RAZORPAY})

_logger = logger()


class Providers:
    """One warm function's payment providers, of all tenants."""

    def __init__(self, store: Store, secrets: Secrets, used: ProvidersUsed, clock: Clock | None = None) -> None:
        """Take where the sandbox's books, the credentials and the tenants' choices are kept."""
        self._store = store
        self._secrets = secrets
        self._used = used
        self._clock = clock or SystemClock()
        self._made: OrderedDict[tuple[str, str], tuple[Mapping[str, Any], Provider]] = OrderedDict()

    def used_by(self, tenant: str) -> list[str]:
        """Return the names of the providers that a tenant uses, the one first that is used unless another is named."""
        return self._used.of(tenant)

    def provider(self, tenant: str, name: str) -> Provider:
        """Return the provider of this name with the tenant's credentials, whether or not the tenant uses it still.

        Raises ProviderNotUsed for a name that is none, and ProviderUnavailable where there are no credentials.
        """
        if name == External.name:
            return External()
        if name == PaymentProviderName.SANDBOX:
            return Sandbox(self._store, tenant, self._clock)
        try:
            return self._with_secret(tenant, name)
        except SecretUnreadable as wrong:
            raise _unusable(tenant, name, wrong) from None

    def for_webhook(self, tenant: str, name: str) -> Provider:
        """Return the provider whose webhook came for a tenant; anybody may send one, for any tenant.

        Raises ProviderNotUsed, also where the tenant never had credentials there, and ProviderUnavailable.
        """
        if name == PaymentProviderName.SANDBOX:
            return self.sandbox(tenant)
        if name == External.name or not self._used.may_have_used(tenant, name):
            raise ProviderNotUsed
        try:
            return self._with_secret(tenant, name)
        except SecretMissing:
            raise ProviderNotUsed from None
        except SecretUnreadable as wrong:
            raise _unusable(tenant, name, wrong) from None

    def sandbox(self, tenant: str) -> Sandbox:
        """Return the sandbox; raises ProviderNotUsed where the tenant does not use it."""
        if PaymentProviderName.SANDBOX not in self.used_by(tenant):
            raise ProviderNotUsed
        return Sandbox(self._store, tenant, self._clock)

    def _with_secret(self, tenant: str, name: str) -> Provider:
        """Return the provider with the credentials as they are now; one of these is kept with its connections.

        Raises SecretMissing, SecretUnreadable, and ProviderNotUsed for a name that needs none.
        """
        if name not in _WITH_SECRET:
            raise ProviderNotUsed
        secret = self._secrets.read(f"payments/{tenant}/{name}")
        known = self._made.get((tenant, name))
        if known is not None and known[0] == secret:
            self._made.move_to_end((tenant, name))
            return known[1]
        made = _made(tenant, name, secret, self._clock)
        self._made[tenant, name] = (secret, made)
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return made


def _unusable(tenant: str, name: str, wrong: SecretUnreadable) -> ProviderUnavailable:
    """Return the error for a provider whose credentials somebody has to mend; what they hold is not logged."""
    _logger.error("a payment provider's credentials", extra={"tenant": tenant, "provider": name, "why": str(wrong)})
    return ProviderUnavailable()


def _made(tenant: str, name: str, secret: Mapping[str, Any], clock: Clock) -> Provider:
    """Return a provider that is reached over HTTP, whose modules are imported once they are needed."""
    if name == PaymentProviderName.STRIPE:
        from holdfast.checkout.payments.stripe import Stripe

        return Stripe.with_secret(tenant, secret, clock)
    from holdfast.checkout.payments.razorpay import Razorpay

    return Razorpay.with_secret(tenant, secret)
