"""The key pairs that ticket codes are signed and checked with: Ed25519, a pair a tenant at a time.

The private key is made at first use and kept by the platform; its public key is published in the table before anything
is signed with it, and stays there: once the private key is replaced, codes signed with the one before go on being good.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Cancelled, Put, Store, read
from holdfast.platform.order_items import TicketKeyItem
from holdfast.platform.tables import Keys

if TYPE_CHECKING:
    from holdfast.platform.signing_keys import SigningKeys

REMEMBERED = 300_000
"""Milliseconds for which a warm function signs with a key before it looks whether that was replaced."""

_KID_LETTERS = 8


@dataclass(frozen=True)
class KeyPair:
    """A private key, and the id that codes name it by: the start of its public key's thumbprint (RFC 7638)."""

    kid: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "KeyPair":
        """Return a new one."""
        return cls._of(Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> "KeyPair":
        """Return the one that was written as `text`, a private JWK."""
        return cls._of(Ed25519PrivateKey.from_private_bytes(decoded(json.loads(text)["d"])))

    @classmethod
    def _of(cls, private: Ed25519PrivateKey) -> "KeyPair":
        thumbed = {"crv": "Ed25519", "kty": "OKP", "x": _x_of(private)}
        digest = sha256(json.dumps(thumbed, separators=(",", ":")).encode()).digest()
        return cls(encoded(digest)[:_KID_LETTERS], private)

    @property
    def x(self) -> str:
        """Return the public key as its JWK has it."""
        return _x_of(self.private)

    def to_text(self) -> str:
        """Return the pair as a private JWK."""
        return json.dumps({"kty": "OKP", "crv": "Ed25519", "x": self.x, "d": encoded(self.private.private_bytes_raw())})


class TicketSigner:
    """What signs for all tenants: a warm function's own, which remembers their key pairs for a while."""

    def __init__(self, store: Store, private_keys: "SigningKeys", clock: Clock) -> None:
        """Take where public keys are published, where private keys are kept, and the clock."""
        self._store = store
        self._private_keys = private_keys
        self._clock = clock
        self._known: dict[str, tuple[int, KeyPair]] = {}

    def pair_of(self, tenant: str) -> KeyPair:
        """Return the pair to sign with; its public key is published by then. Raises Busy and Unavailable."""
        now = self._clock.now()
        looked_at, known = self._known.get(tenant, (0, None))
        if known is None or now - looked_at >= REMEMBERED:
            known = KeyPair.from_text(self._private_keys.of(tenant, lambda: KeyPair.generate().to_text()))
            publish(self._store, tenant, known, now)
            self._known[tenant] = (now, known)
        return known


def publish(store: Store, tenant: str, pair: KeyPair, now: int) -> None:
    """Write the public key of a pair, unless that was done before."""
    item = TicketKeyItem(*Keys(tenant).ticket_key(pair.kid), x=pair.x, created_at=now)
    try:
        store.write(Put(item, TicketKeyItem.pk.does_not_exist()))
    except Cancelled:
        return


def published(store: Store, tenant: str) -> Sequence[TicketKeyItem]:
    """Return the public keys that the tenant's codes are checked with, in no order that means anything."""
    return [read(TicketKeyItem, raw) for raw in store.query(Keys(tenant).ticket_keys()).items]


def find(store: Store, tenant: str, kid: str) -> Ed25519PublicKey | None:
    """Return the tenant's public key of this id, or None."""
    known = store.get(TicketKeyItem, Keys(tenant).ticket_key(kid))
    return None if known is None else Ed25519PublicKey.from_public_bytes(decoded(known.x))


def encoded(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding; raises ValueError for a text that `encoded` would not give."""
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(raw) != text:
        raise ValueError("not base64url as it is written here")
    return raw


def _x_of(private: Ed25519PrivateKey) -> str:
    return encoded(private.public_key().public_bytes_raw())
