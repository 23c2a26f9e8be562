"""Whom the bearer of a credential is: of an access token or of a service key, as the store has it now."""

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from holdfast.platform import credentials
from holdfast.platform.caller import Caller
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Store
from holdfast.platform.errors import Unauthorized
from holdfast.platform.settings import TokenSettings

if TYPE_CHECKING:
    from holdfast.identity.access_tokens import AccessTokens

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Bearers:
    """One warm function's view of who may come with what."""

    def __init__(self, store: Store, trusted: TokenSettings, clock: Clock | None = None) -> None:
        """Take the store of the identity table, and whose tokens are good."""
        self._store = store
        self._trusted = trusted
        self._clock = clock or SystemClock()

    def caller_of(self, authorization: Any) -> Caller:
        """Return the caller that a request's Authorization, as the event has it, stands for.

        Raises Unauthorized, TenantSuspended, and Unavailable or Busy where that could not be looked up.
        """
        credential = _bearer(authorization)
        if credential.startswith(credentials.KEY_PREFIX):
            tenant, digest = credentials.read_key(credential)
            return credentials.holder_of_key(self._store, tenant, digest, self._clock.now())
        if not _TOKEN.fullmatch(credential):
            raise Unauthorized
        found = self._tokens.verified(credential)
        return credentials.signed_in(self._store, found.tenant, found.user_id, found.since)

    @cached_property
    def _tokens(self) -> "AccessTokens":
        """What verifies tokens: loaded when the first one comes, as keys can do without."""
        from holdfast.identity.access_tokens import AccessTokens
        from holdfast.identity.jwks import PublicKeys

        trusted = self._trusted
        return AccessTokens(PublicKeys(trusted.jwks_url), trusted.token_issuer, trusted.token_client_id)


def _bearer(authorization: Any) -> str:
    scheme, _, credential = str(authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    return credential.strip()
