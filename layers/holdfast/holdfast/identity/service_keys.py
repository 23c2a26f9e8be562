"""Service keys: the credential of a tenant's own servers. Only a key's hash is kept.

A key is `hk_<tenant>_<secret>`, and the secret 256 bits that nobody can guess. Where a request for one comes with an
idempotency key, it has to be answered the same again: its secret is then made of a random number, which is kept with
the answer, and of a key of the tenant that the table does not know.
"""

import hmac
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from holdfast.platform import page_tokens
from holdfast.platform.access import ADMIN, ALL_SCOPES, OPERATOR, SERVICE, STAFF
from holdfast.platform.caller import Caller
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.credentials import KEY_PREFIX, digest_of
from holdfast.platform.dynamodb import Cancelled, Contended, Delete, Put, Store, Update, Write, read
from holdfast.platform.errors import Busy, Fault, Forbidden, KeyNotFound, KeyRotated, KeyShownBefore, Malformed
from holdfast.platform.identity_items import ServiceKeyItem
from holdfast.platform.retries import Retries
from holdfast.platform.signing_keys import SigningKeys
from holdfast.platform.tables import OPERATOR_TENANT, Key, Keys
from holdfast.reservations.idempotency import KeyedRequest

ROLES = (SERVICE, STAFF, ADMIN)
"""What a tenant's key may be issued for: act for users, see the tenant's things, change the catalogue."""

_OPERATORS_ROLES = (OPERATOR,)
_LISTED_AFTER_SECONDS = 30 * 86_400
"""For how long a key is still listed that is over."""

_ID_PREFIX = "k-"
_ID_DIGITS = 16


@dataclass(frozen=True)
class KeyRing:
    """One warm function's view of the identity table, and of the keys that repeated requests are answered by."""

    store: Store
    tenants_own: SigningKeys
    clock: Clock = field(default_factory=SystemClock)
    retries: Retries = field(default_factory=Retries)


@dataclass(frozen=True)
class Wanted:
    """What a key is to be: without `scopes` for all that its roles may, for so many milliseconds or for good."""

    label: str
    roles: frozenset[str]
    scopes: frozenset[str] | None = None
    lifetime: int | None = None


@dataclass(frozen=True)
class Issued:
    """A key, which nobody can read again, and what is kept of it."""

    key: str
    item: ServiceKeyItem


@dataclass(frozen=True)
class KeyPage:
    """Some of a tenant's keys, and the token that goes on from there; None at the end."""

    items: list[ServiceKeyItem]
    next: str | None


def roles_given_by(tenant: str) -> Sequence[str]:
    """Return the roles that a key of this tenant may have."""
    return _OPERATORS_ROLES if tenant == OPERATOR_TENANT else ROLES


def id_of(item: ServiceKeyItem) -> str:
    """Return the id by which clients know a key: the beginning of its hash, which gives nothing away."""
    return _ID_PREFIX + item.sk[:_ID_DIGITS]


def issue(store: Store, clock: Clock, tenant: str, roles: Sequence[str], label: str) -> str:
    """Make a key for a tenant, at an operator's own request, and return it. Raises ValueError for other roles."""
    if not roles or not set(roles) <= set(roles_given_by(tenant)):
        raise ValueError(f"roles of this tenant are {', '.join(roles_given_by(tenant))}")
    key = _key(tenant, token_hex(32))
    store.write(Put(_item(tenant, key, Wanted(label, frozenset(roles)), clock.now())))
    return key


def issue_for(ring: KeyRing, caller: Caller, wanted: Wanted, keyed: KeyedRequest | None = None) -> Issued:
    """Make a key of the caller's tenant; the same keyed request is answered with the same key.

    Raises Malformed for roles that the tenant does not give, Forbidden for more than the caller may give itself,
    KeyShownBefore, IdempotencyKeyReused, Busy and Unavailable.
    """
    if not wanted.roles <= set(roles_given_by(caller.tenant)):
        sentence = f"Roles here are {', '.join(roles_given_by(caller.tenant))}."
        raise Malformed(faults=[Fault("roles", sentence, "role_not_given")])
    _must_be_let_give(caller, wanted.roles, wanted.scopes)
    known = keyed.replay(ring.store) if keyed is not None else None
    if known is not None:
        return _replayed(ring, caller.tenant, known)
    nonce, secret = _new_secret(ring, caller.tenant, keyed)
    key, now = _key(caller.tenant, secret), ring.clock.now()
    new = _item(caller.tenant, key, wanted, now, caller.name)
    record = [keyed.record(_recorded(nonce, new), now)] if keyed is not None else []
    for attempt in ring.retries:
        try:
            ring.store.make([*record, Put(new)])
        except Contended:
            ring.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None:
                return _replayed(ring, caller.tenant, known)
            ring.retries.wait(attempt)
        else:
            return Issued(key, new)
    raise Busy


def rotate(ring: KeyRing, caller: Caller, key_id: str, grace_seconds: int, keyed: KeyedRequest | None = None) -> Issued:
    """Make a key in the place of another: of its label, roles and scopes, and for as long as that was made for.

    The other one is good for `grace_seconds` more, if it is not over before. Both are written in one transaction, which
    is made once: of several at once one is in its place. Raises KeyNotFound, KeyRotated, Forbidden, KeyShownBefore,
    IdempotencyKeyReused, Busy and Unavailable.
    """
    known = keyed.replay(ring.store) if keyed is not None else None
    if known is not None:
        return _replayed(ring, caller.tenant, known)
    nonce, secret = _new_secret(ring, caller.tenant, keyed)
    key, now = _key(caller.tenant, secret), ring.clock.now()
    old = _find(ring, caller.tenant, key_id)
    _must_be_let_give(caller, old.roles, old.scopes)
    new = _item(caller.tenant, key, _wanted_again(old), now, caller.name)
    record = [keyed.record(_recorded(nonce, new), now)] if keyed is not None else []
    for attempt in ring.retries:
        if attempt:
            old = _find(ring, caller.tenant, key_id)
        if old.replaced_by == id_of(new):
            return Issued(key, new)
        if old.replaced_by is not None:
            known = keyed.replay(ring.store) if keyed is not None else None
            if known is None:
                raise KeyRotated
            return _replayed(ring, caller.tenant, known)
        if old.expires_at is not None and old.expires_at <= now:
            raise KeyNotFound
        try:
            ring.store.transact([*record, Put(new), _ended(old, now + grace_seconds * 1000, id_of(new))])
        except Contended:
            ring.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None:
                return _replayed(ring, caller.tenant, known)
            ring.retries.wait(attempt)
        else:
            return Issued(key, new)
    raise Busy


def revoke(ring: KeyRing, caller: Caller, key_id: str) -> None:
    """Take a key away at once. Raises KeyNotFound, Forbidden for one that may more than the caller, and Busy."""
    found = _find(ring, caller.tenant, key_id)
    _must_be_let_give(caller, found.roles, found.scopes)
    for attempt in ring.retries:
        try:
            ring.store.write(Delete(found.key))
        except Contended:
            ring.retries.wait(attempt)
        else:
            return
    raise Busy


def list_of(ring: KeyRing, tenant: str, limit: int, token: str | None = None) -> KeyPage:
    """Return up to `limit` of a tenant's keys in the order of their ids; raises Malformed for another list's token."""
    keys, scope = Keys(tenant), f"{tenant}/keys"
    after = keys.service_key(page_tokens.read(scope, token)) if token is not None else None
    page = ring.store.query(keys.service_keys(), limit=limit + 1, after=after)
    found = [read(ServiceKeyItem, raw) for raw in page.items[:limit]]
    return KeyPage(found, page_tokens.issue(scope, found[-1].sk) if len(page.items) > limit else None)


def _must_be_let_give(caller: Caller, roles: Set[str], scopes: Set[str] | None) -> None:
    """Raise Forbidden unless the caller may do itself all that a key of these roles and scopes may.

    An admin whose credential is for everything gives any role. One that is limited gives its own alone: a role lets do
    what an admin may not, as a service does that says what was paid elsewhere. In the operators' tenant only operators
    give, whoever else is known there.
    """
    if caller.tenant == OPERATOR_TENANT and OPERATOR not in caller.roles:
        raise Forbidden
    if caller.scopes != ALL_SCOPES and not (scopes and caller.scopes >= scopes and caller.roles >= roles):
        raise Forbidden("A key gives, changes and takes away no roles and scopes that it does not have itself.")


def _find(ring: KeyRing, tenant: str, key_id: str) -> ServiceKeyItem:
    digits = key_id.removeprefix(_ID_PREFIX)
    if len(digits) != _ID_DIGITS or key_id == digits:
        raise KeyNotFound
    page = ring.store.query(Keys(tenant).service_keys(), prefix=digits, limit=1)
    if not page.items:
        raise KeyNotFound
    return read(ServiceKeyItem, page.items[0])


def _key(tenant: str, secret: str) -> str:
    return f"{KEY_PREFIX}{tenant}_{secret}"


def _new_secret(ring: KeyRing, tenant: str, keyed: KeyedRequest | None) -> tuple[str, str]:
    """Return a new secret of 64 hexadecimal digits, and the number that it is made of where that may be needed."""
    if keyed is None:
        return "", token_hex(32)
    nonce = token_hex(16)
    return nonce, _made_of(ring, tenant, nonce)


def _made_of(ring: KeyRing, tenant: str, nonce: str) -> str:
    own = ring.tenants_own.of(tenant, lambda: token_hex(32))
    return hmac.digest(own.encode(), f"service key\n{tenant}\n{nonce}".encode(), "sha256").hex()


def _item(tenant: str, key: str, wanted: Wanted, now: int, by: str | None = None) -> ServiceKeyItem:
    over = None if wanted.lifetime is None else now + wanted.lifetime
    return ServiceKeyItem(
        *Keys(tenant).service_key(digest_of(key)),
        label=wanted.label,
        roles=set(wanted.roles),
        scopes=set(wanted.scopes) if wanted.scopes is not None else None,
        created_by=by,
        created_at=now,
        expires_at=over,
        ttl=None if over is None else _ttl(over),
    )


def _wanted_again(old: ServiceKeyItem) -> Wanted:
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    return Wanted(old.label, frozenset(old.roles), frozenset(old.scopes) if old.scopes else None, lifetime)


def _ended(old: ServiceKeyItem, until: int, replaced_by: str) -> Write:
    """Return the write that lets a key be over at `until` (ms), if it is there and no other is in its place."""
    over = until if old.expires_at is None else min(until, old.expires_at)
    return Update(
        Key(old.pk, old.sk),
        [
            ServiceKeyItem.expires_at.set(over),
            ServiceKeyItem.ttl.set(_ttl(over)),
            ServiceKeyItem.replaced_by.set(replaced_by),
        ],
        ServiceKeyItem.pk.exists() & ServiceKeyItem.replaced_by.does_not_exist(),
    )


def _ttl(over: int) -> int:
    return over // 1000 + _LISTED_AFTER_SECONDS


def _recorded(nonce: str, item: ServiceKeyItem) -> dict[str, Any]:
    """Return what is kept of an answer: nothing that the key could be made of again without the tenant's own."""
    values = {name: sorted(value) if isinstance(value, set) else value for name, value in item.attribute_values.items()}
    return {"nonce": nonce, "item": values}


def _replayed(ring: KeyRing, tenant: str, known: dict[str, Any]) -> Issued:
    """Return the key of a request that was answered before, made anew; raises KeyShownBefore where that cannot be."""
    kept = known["item"].items()
    values: dict[str, Any] = {name: set(value) if isinstance(value, list) else value for name, value in kept}
    item = ServiceKeyItem(**values)
    key = _key(tenant, _made_of(ring, tenant, known["nonce"]))
    if digest_of(key) != item.sk:
        raise KeyShownBefore
    return Issued(key, item)
