"""Access tokens of the user pool: RS256 of its own keys, its issuer, our client, the right use, within their time.

Nothing is asked of the store here: whether the sign-in is still good is `platform.credentials`' to say.
"""

import re
from dataclasses import dataclass
from typing import Any

import jwt

from holdfast.identity.jwks import ALGORITHM, PublicKeys
from holdfast.platform.errors import Unauthorized

_LEEWAY_SECONDS = 5
"""By how much the issuer's clock and ours may differ."""

_MOST_CHARACTERS = 8_192
_USE = "access"
_REQUIRED = ["exp", "iat", "iss", "sub", "token_use", "client_id", "username"]
_USERNAME = re.compile(r"([a-z0-9][a-z0-9-]{0,39})\.([a-z0-9]{1,64})")
"""What a tenant's user is called in the pool: `<tenant>.<user_id>`."""


@dataclass(frozen=True)
class SignIn:
    """Whom a token was given to, and when (seconds since the epoch)."""

    tenant: str
    user_id: str
    since: int


class AccessTokens:
    """The tokens of one issuer for one client."""

    def __init__(self, keys: PublicKeys, issuer: str, client_id: str) -> None:
        """Take the issuer's keys, its name, and for which client its tokens have to be."""
        self._keys = keys
        self._issuer = issuer
        self._client_id = client_id

    def verified(self, token: str) -> SignIn:
        """Return whom a token was given to; raises Unauthorized, and Unavailable where no keys are to be had."""
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError) as wrong:
            raise Unauthorized from wrong
        if (claims["token_use"], claims["client_id"]) != (_USE, self._client_id):
            raise Unauthorized
        named = _USERNAME.fullmatch(str(claims["username"]))
        if named is None:
            raise Unauthorized
        return SignIn(named[1], named[2], int(claims["iat"]))

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _MOST_CHARACTERS:
            raise Unauthorized
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") != ALGORITHM or not isinstance(kid, str):
            raise Unauthorized
        claims: dict[str, Any] = jwt.decode(
            token,
            self._keys.of(kid),
            algorithms=[ALGORITHM],
            issuer=self._issuer,
            options={"require": _REQUIRED, "verify_aud": False},
            leeway=_LEEWAY_SECONDS,
        )
        return claims
