"""Signatures of webhooks: HMAC-SHA256 over the raw body, compared in constant time.

Stripe's scheme, which the sandbox follows: a header `t=<seconds>,v1=<hex>[,v1=<hex>…]`, each v1 being over the text of
`t`, a full stop, and the body. There are several while a secret is being replaced; other names in the header are for
others to read.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from holdfast.platform.errors import SignatureRefused

TOLERANCE = 300_000
"""Milliseconds by which a signature's time may be off, either way: an old one may be replayed, one from the future
kept for later."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def hex_digest(secret: str, message: bytes) -> str:
    """Return the HMAC-SHA256 of a message, in small hexadecimal digits."""
    return hmac.new(secret.encode(), message, sha256).hexdigest()


def check(signature: str, message: bytes, secrets: Iterable[str]) -> None:
    """Raise SignatureRefused unless `signature` is that of the message under one of the secrets."""
    if not _matches([signature], message, secrets):
        raise SignatureRefused


def timed_header(body: bytes, secret: str, now: int) -> str:
    """Return the header that signs a body at `now` (ms), in Stripe's scheme."""
    seconds = str(now // 1000)
    return f"t={seconds},v1={hex_digest(secret, _dated(seconds, body))}"


def check_timed(header: str, body: bytes, secrets: Iterable[str], now: int) -> None:
    """Raise SignatureRefused unless a header in Stripe's scheme signs the body, within the tolerance of `now` (ms)."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in parts if name == "t"]
    signatures = [value for name, value in parts if name == "v1"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise SignatureRefused
    if abs(now - int(times[0]) * 1000) > TOLERANCE:
        raise SignatureRefused
    if not _matches(signatures, _dated(times[0], body), secrets):
        raise SignatureRefused


def _dated(seconds: str, body: bytes) -> bytes:
    return f"{seconds}.".encode() + body


def _matches(signatures: Iterable[str], message: bytes, secrets: Iterable[str]) -> bool:
    """Return whether one of the signatures is right; all are looked at, whichever that is."""
    expected = [hex_digest(secret, message).encode() for secret in secrets]
    given = [signature.encode(errors="replace") for signature in signatures]
    compared = [hmac.compare_digest(right, found) for right in expected for found in given]
    return True in compared
