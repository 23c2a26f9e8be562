"""The public keys that access tokens are verified with, as their issuer publishes them (RFC 7517).

A warm function keeps them for an hour. A key that it does not know makes it ask again, but at most once a minute,
whatever it is sent; where the issuer does not answer well, the keys that it gave last stay good.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from holdfast.platform.errors import Unauthorized, Unavailable
from holdfast.platform.logs import logger

ALGORITHM = "RS256"

_KEPT_SECONDS = 3_600
_BETWEEN_SECONDS = 60
_WITHOUT_ANY_SECONDS = 5
"""Between two questions where no key is known, so that a start in a bad moment does not cost a minute."""

_TIMEOUT_SECONDS = 2
_MOST_BYTES = 64 * 1024
"""What is read of an answer; a key set of two takes about one."""

_MOST_KEYS = 32
_LEAST_BITS = 2_048

_logger = logger()


class NoAnswer(Exception):
    """The issuer did not answer in time, or with something else than keys; its text says which."""


class PublicKeys:
    """One warm function's view of an issuer's keys."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take where the keys are published, and a clock in seconds."""
        self._url = url
        self._monotonic = monotonic
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._asked_at: float | None = None
        self._answered = False

    def of(self, kid: str) -> RSAPublicKey:
        """Return the key of this id.

        Raises Unauthorized where the issuer has none, and Unavailable where it did not say when it was last asked.
        """
        if self._is_to_be_asked(kid):
            self._ask()
        if kid in self._keys:
            return self._keys[kid]
        raise Unauthorized if self._answered else Unavailable

    def _is_to_be_asked(self, kid: str) -> bool:
        if self._asked_at is None:
            return True
        if not self._keys:
            wait = _WITHOUT_ANY_SECONDS
        elif kid in self._keys and self._answered:
            wait = _KEPT_SECONDS
        else:
            wait = _BETWEEN_SECONDS
        return self._monotonic() - self._asked_at >= wait

    def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            self._keys = _keys_of(_fetched(self._url))
        except NoAnswer as wrong:
            _logger.warning("no keys were to be had", extra={"why": str(wrong), "known": len(self._keys)})
            self._answered = False
        else:
            self._answered = True


def _fetched(url: str) -> bytes:
    """Return what is at the address itself, as it leads nowhere else; raises NoAnswer."""
    parts = urlsplit(url)
    connection_to = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(connection_to(parts.netloc, timeout=_TIMEOUT_SECONDS)) as connection:
            connection.request("GET", parts.path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
    except (OSError, HTTPException) as wrong:
        raise NoAnswer(type(wrong).__name__) from wrong
    if answer.status != 200:
        raise NoAnswer(f"status {answer.status}")
    return body


def _keys_of(text: bytes) -> dict[str, RSAPublicKey]:
    """Return the keys of a JWK set that sign as access tokens have to be signed; raises NoAnswer where it has none."""
    try:
        listed = json.loads(text)["keys"]
        found = {jwk["kid"]: key for jwk in listed[:_MOST_KEYS] if (key := _key_of(jwk)) is not None}
    except (ValueError, RecursionError, KeyError, TypeError) as wrong:
        raise NoAnswer("no key set") from wrong
    if not found:
        raise NoAnswer("no key that is fit to be trusted")
    return found


def _key_of(jwk: Any) -> RSAPublicKey | None:
    """Return the public key of a JWK, or None for one of another kind or use, or that is too short to be trusted."""
    if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("alg"), jwk.get("use")) != ("RSA", ALGORITHM, "sig"):
        return None
    try:
        key = RSAAlgorithm.from_jwk(jwk)
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS else None
