"""The captcha providers by name, each with the credentials of the tenant that it is used for.

Credentials are secrets named `captcha/<tenant>/<provider>`: `{"secret": …}`, or for reCAPTCHA Enterprise
`{"api_key": …}`.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from holdfast.abuse.captcha.port import Captcha, Misconfigured
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.policy import CaptchaPolicy
from holdfast.platform.secrets import Secrets, SecretUnreadable

if TYPE_CHECKING:
    from holdfast.abuse.captcha.calls import Calls


class Captchas:
    """One warm function's captcha providers, of all tenants."""

    def __init__(self, secrets: Secrets, clock: Clock | None = None) -> None:
        """Take where credentials are kept."""
        self._secrets = secrets
        self.clock = clock or SystemClock()

    @cached_property
    def _calls(self) -> "Calls":
        from holdfast.abuse.captcha.calls import Calls

        return Calls()

    def of(self, tenant: str, policy: CaptchaPolicy) -> Captcha:
        """Return the provider that a tenant asks for captchas of, with its credentials; raises Misconfigured."""
        if policy.provider == "sandbox":
            from holdfast.abuse.captcha.sandbox import Sandbox

            return Sandbox(policy, self.clock)
        try:
            return self._reached(tenant, policy)
        except SecretUnreadable as wrong:
            raise Misconfigured(str(wrong)) from None

    def _reached(self, tenant: str, policy: CaptchaPolicy) -> Captcha:
        """Return a provider that is reached over HTTP, whose module is imported once it is needed.

        Raises SecretUnreadable, and Misconfigured for a name that is none.
        """
        secret = self._secrets.read(f"captcha/{tenant}/{policy.provider}")
        if policy.provider == "recaptcha":
            from holdfast.abuse.captcha.recaptcha import Recaptcha

            return Recaptcha(secret, self._calls)
        if policy.provider == "hcaptcha":
            from holdfast.abuse.captcha.hcaptcha import HCaptcha

            return HCaptcha(secret, policy.site_key, self._calls)
        if policy.provider == "turnstile":
            from holdfast.abuse.captcha.turnstile import Turnstile

            return Turnstile(secret, self._calls)
        if policy.provider == "recaptcha_enterprise" and policy.project:
            from holdfast.abuse.captcha.recaptcha_enterprise import RecaptchaEnterprise

            return RecaptchaEnterprise(secret, policy.project, policy.site_key, self._calls)
        raise Misconfigured(f"no captcha provider of this name, or without its project: {policy.provider}")
