"""People that a tenant knows: one person a phone number, one account an e-mail address, whoever asks at the same time.

A person and the items that say whose a phone is, and whose account an address signs in to, are written in one
transaction, so that none is ever there without the other. A change is guarded by the person's `version`; one whose
answer was lost is known again, because what it wanted is there already (PROTOCOL.md 8).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_hex
from typing import Any, TypedDict

from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Cancelled, Contended, Delete, Put, Store, Write
from holdfast.platform.errors import (
    AccountNeedsEmail,
    Busy,
    EmailInUse,
    Fault,
    HoldfastError,
    NoAccount,
    PhoneInUse,
    UserNotFound,
)
from holdfast.platform.identity_items import EmailItem, PersonItem, PhoneItem
from holdfast.platform.items import Item
from holdfast.platform.retries import Retries
from holdfast.platform.tables import Keys
from holdfast.reservations.idempotency import KeyedRequest


class Role(StrEnum):
    """What somebody is to the tenant."""

    CUSTOMER = "customer"
    STAFF = "staff"
    ADMIN = "admin"


class Changes(TypedDict, total=False):
    """What to change of a person; what is left out stays. An `email` of None is taken away."""

    name: str
    phone: str
    email: str | None
    role: Role


Rule = Callable[[PersonItem, Changes], bool]
"""Says of somebody known whether they are changed so; who is not stays as they are. It may raise Forbidden instead."""


_Plan = tuple[PersonItem, Sequence[Write]]
"""A person's next version, and what is written beside it."""

_IN_USE: Mapping[type[Item], tuple[str, type[HoldfastError]]] = {
    PhoneItem: ("phone", PhoneInUse),
    EmailItem: ("email", EmailInUse),
}
"""What says that a phone or an address is somebody's: the field of it, and why another cannot have it."""

_NAMING = ("name", "phone", "email")
"""What says of a person who they are; it is kept in one place alone, so that it goes with them."""


def anybody(_person: PersonItem, _wanted: Changes) -> bool:
    """Let everybody be changed."""
    return True


@dataclass(frozen=True)
class Directory:
    """One warm function's view of the identity table."""

    store: Store
    clock: Clock = field(default_factory=SystemClock)
    retries: Retries = field(default_factory=Retries)


def upsert(
    directory: Directory,
    tenant: str,
    name: str,
    phone: str,
    email: str | None = None,
    role: Role | None = None,
    keyed: KeyedRequest | None = None,
    rule: Rule = anybody,
) -> tuple[PersonItem, bool]:
    """Return the person who has `phone` (E.164), and whether they are new.

    A new person is written together with the phone, and with the record of a keyed request. One who is known gets the
    name, and the e-mail address and role where those are given, if `rule` lets them be changed; what is the same
    already is not written again. The address that somebody signs in with stays: `change` is what changes it. A keyed
    request made again is answered the same, but for what it does not say itself of their name and how to reach them:
    that is as it is by then. Raises UserNotFound where they have been deleted since, IdempotencyKeyReused and Busy.
    """
    wanted = Changes(name=name)
    if email is not None:
        wanted["email"] = email
    if role is not None:
        wanted["role"] = role
    said = {**wanted, "phone": phone}
    known = keyed.replay(directory.store) if keyed is not None else None
    if known is not None:
        return _replayed(directory, tenant, known, said)
    new = newcomer(directory.clock.now(), tenant, wanted, phone)
    for attempt in directory.retries:
        planned = _planned(directory, tenant, new, wanted, rule)
        if planned is None:
            directory.retries.wait(attempt)
            continue
        person, writes = planned
        is_new = person.user_id == new.user_id
        if keyed is not None:
            writes = [keyed.record(_recorded(person, is_new, said), directory.clock.now()), *writes]
        if not writes:
            return person, is_new
        try:
            directory.store.transact(writes)
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None:
                return _replayed(directory, tenant, known, said)
            directory.retries.wait(attempt)
        else:
            return person, is_new
    raise Busy


def find(directory: Directory, tenant: str, user_id: str) -> PersonItem:
    """Return a person of the tenant; raises UserNotFound."""
    person = look_up(directory, tenant, user_id)
    if person is None:
        raise UserNotFound
    return person


def look_up(directory: Directory, tenant: str, user_id: str) -> PersonItem | None:
    """Return a person of the tenant, or None: an id may also be one that the tenant's own service chose."""
    return directory.store.get(PersonItem, Keys(tenant).person(user_id))


def find_by_phone(directory: Directory, tenant: str, phone: str) -> PersonItem:
    """Return the person who has `phone` (E.164); raises UserNotFound."""
    owner = directory.store.get(PhoneItem, Keys(tenant).phone(phone))
    if owner is None:
        raise UserNotFound
    return find(directory, tenant, owner.user_id)


def change(directory: Directory, tenant: str, user_id: str, wanted: Changes, rule: Rule = anybody) -> PersonItem:
    """Change what is given of a person, if `rule` lets them be changed, and return the person as it then is.

    A new phone (E.164), or a new address of an account, is taken, and the old one let go, in the same transaction; the
    pool has yet to be told of the address (`account_emails`). With the address all sign-ins end: they may be those of
    whoever has the old mailbox. Raises UserNotFound, PhoneInUse where somebody else has the phone, EmailInUse where
    somebody else's account has the address, AccountNeedsEmail and Busy.
    """

    def planned(found: PersonItem) -> _Plan | None:
        now = directory.clock.now()
        person = _changed(found, wanted, now, rule)
        if person is None:
            return None
        if found.has_account and person.email is None:
            raise AccountNeedsEmail
        moved = _moved_email(tenant, found, person.email)
        if moved:
            person = _signed_out(found, now, wanted)
        return person, [*_moved_phone(tenant, found, person.phone), *moved]

    return _written(directory, tenant, user_id, planned)


def account_of(directory: Directory, tenant: str, email: str, name: str | None, role: Role) -> PersonItem:
    """Return the person whose account an e-mail address signs in to, in this role; somebody new where there is none.

    Somebody new is written together with the address; of one who is known nothing but the role changes. Raises Busy.
    """
    new = newcomer(directory.clock.now(), tenant, Changes(email=email, role=role))
    new.name, new.has_account = name, True
    for attempt in directory.retries:
        owner = directory.store.get(EmailItem, Keys(tenant).email(email))
        try:
            if owner is not None:
                return change(directory, tenant, owner.user_id, Changes(role=role))
            directory.store.transact(
                [Put(new, PersonItem.pk.does_not_exist()), taken_email(tenant, email, new.user_id)]
            )
        except (Contended, Cancelled, UserNotFound):
            directory.retries.wait(attempt)
        else:
            return new
    raise Busy


def open_account(directory: Directory, tenant: str, user_id: str) -> PersonItem:
    """Let a person sign in with their e-mail address, and return the person; twice changes nothing.

    The address is taken in the same transaction. Raises UserNotFound, NoAccount where there is no address, EmailInUse
    where somebody else's account has it, and Busy.
    """

    def planned(found: PersonItem) -> _Plan | None:
        if found.email is None:
            raise NoAccount
        if found.has_account:
            return None
        now = directory.clock.now()
        return _rewritten(found, {"has_account": True}, now), [taken_email(tenant, found.email, user_id)]

    return _written(directory, tenant, user_id, planned)


def close_account(directory: Directory, tenant: str, user_id: str) -> PersonItem:
    """End all of a person's sign-ins and let them sign in no more; return the person. Twice changes nothing.

    The address is let go in the same transaction. Raises UserNotFound and Busy.
    """

    def planned(found: PersonItem) -> _Plan | None:
        if not found.has_account:
            return None
        let_go = Delete(Keys(tenant).email(found.email), EmailItem.user_id == user_id)
        return _signed_out(found, directory.clock.now(), {"has_account": None}), [let_go]

    return _written(directory, tenant, user_id, planned)


def sign_out(directory: Directory, tenant: str, user_id: str) -> PersonItem:
    """End all of a person's sign-ins up to this moment, and return the person; raises UserNotFound and Busy."""
    return _written(directory, tenant, user_id, lambda found: (_signed_out(found, directory.clock.now(), {}), []))


def new_id(now: int) -> str:
    """Return an id for somebody new. Ids stand in the order of their making: a list only grows at its end."""
    return f"{now:011x}{token_hex(7)[1:]}"


def newcomer(now: int, tenant: str, known: Changes, phone: str | None = None, user_id: str | None = None) -> PersonItem:
    """Return somebody new, to be written; `user_id` is the id they were given before, if they were."""
    user_id = user_id or new_id(now)
    return PersonItem(
        *Keys(tenant).person(user_id),
        user_id=user_id,
        name=known.get("name"),
        phone=phone,
        email=known.get("email"),
        role=known.get("role", Role.CUSTOMER).value,
        version=1,
        created_at=now,
        updated_at=now,
    )


def taken_email(tenant: str, address: str, user_id: str) -> Put:
    """Return the write by which an e-mail address signs in to a user's account, if it does to nobody else's."""
    pointer = EmailItem(*Keys(tenant).email(address), user_id=user_id)
    return Put(pointer, EmailItem.pk.does_not_exist() | (EmailItem.user_id == user_id))


def _planned(
    directory: Directory, tenant: str, new: PersonItem, wanted: Changes, rule: Rule
) -> tuple[PersonItem, list[Write]] | None:
    """Return the person who is to have `new`'s phone, and the writes that make it so, none where it is so.

    None means that the phone is changing hands at this moment.
    """
    owner = directory.store.get(PhoneItem, Keys(tenant).phone(new.phone))
    if owner is None:
        pointer = PhoneItem(*Keys(tenant).phone(new.phone), user_id=new.user_id)
        return new, [Put(new, PersonItem.pk.does_not_exist()), Put(pointer, PhoneItem.pk.does_not_exist())]
    found = look_up(directory, tenant, owner.user_id)
    if found is None or found.phone != new.phone:
        return None
    if found.has_account:
        wanted = wanted.copy()
        wanted.pop("email", None)
    person = _changed(found, wanted, directory.clock.now(), rule)
    return (found, []) if person is None else (person, [_guarded(person, found)])


def _changed(found: PersonItem, wanted: Changes, now: int, rule: Rule) -> PersonItem | None:
    """Return the person as wanted; None where `rule` does not allow it, or nothing is different."""
    if not rule(found, wanted) or all(getattr(found, name) == value for name, value in wanted.items()):
        return None
    return _rewritten(found, wanted, now)


def _signed_out(found: PersonItem, now: int, values: Mapping[str, Any]) -> PersonItem:
    """Return the person's next version, signed out at `now` (ms), and in any case later than ever before."""
    return _rewritten(found, {**values, "signed_out_at": max(now, (found.signed_out_at or 0) + 1)}, now)


def _rewritten(found: PersonItem, values: Mapping[str, Any], now: int) -> PersonItem:
    """Return the person's next version, with these values."""
    return PersonItem(**{**found.attribute_values, **values, "version": found.version + 1, "updated_at": now})


def _guarded(person: PersonItem, found: PersonItem) -> Put:
    """Return the write of a person's next version, if nobody wrote them since they were found."""
    return Put(person, PersonItem.version == found.version)


def _written(
    directory: Directory, tenant: str, user_id: str, planned: Callable[[PersonItem], _Plan | None]
) -> PersonItem:
    """Make what is planned of a person in one transaction, and return the person as they then are.

    Raises UserNotFound, PhoneInUse, EmailInUse and Busy.
    """
    for attempt in directory.retries:
        found = find(directory, tenant, user_id)
        plan = planned(found)
        if plan is None:
            return found
        person, further = plan
        try:
            directory.store.transact([_guarded(person, found), *further])
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            _refuse_taken(refusal, further, user_id)
            directory.retries.wait(attempt)
        else:
            return person
    raise Busy


def _moved_phone(tenant: str, found: PersonItem, phone: str | None) -> list[Write]:
    """Return the writes that take a new phone and let go of the old one; none where it is the same."""
    if phone is None or phone == found.phone:
        return []
    taken = PhoneItem(*Keys(tenant).phone(phone), user_id=found.user_id)
    writes: list[Write] = [Put(taken, PhoneItem.pk.does_not_exist())]
    if found.phone is not None:
        writes.append(Delete(Keys(tenant).phone(found.phone), PhoneItem.user_id == found.user_id))
    return writes


def _moved_email(tenant: str, found: PersonItem, email: str | None) -> list[Write]:
    """Return the writes that take a new address for an account and let go of the old one; none where it is the same."""
    keys = Keys(tenant)
    if not found.has_account or email is None or keys.email(email) == keys.email(found.email):
        return []
    return [
        taken_email(tenant, email, found.user_id),
        Delete(keys.email(found.email), EmailItem.user_id == found.user_id),
    ]


def _refuse_taken(refusal: Cancelled, further: Sequence[Write], user_id: str) -> None:
    """Raise PhoneInUse or EmailInUse if what was to be taken beside the person's own write is another's."""
    for write, reason in zip(further, refusal.reasons[1:], strict=True):
        if reason is None or reason.item is None or not isinstance(write, Put):
            continue
        if reason.item["user_id"]["S"] != user_id:
            field, error = _IN_USE[type(write.item)]
            raise error(faults=[Fault(field, error.sentence, error.code)])


def _recorded(person: PersonItem, is_new: bool, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of an answer: nothing that names a person who may be deleted; the request says it again."""
    values = person.attribute_values
    return {
        "is_new": is_new,
        "person": {name: value for name, value in values.items() if name not in _NAMING},
        "as_said": [name for name in _NAMING if name in said and said[name] == values.get(name)],
    }


def _replayed(
    directory: Directory, tenant: str, known: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[PersonItem, bool]:
    found = find(directory, tenant, known["person"]["user_id"])
    naming = {name: said[name] if name in known["as_said"] else getattr(found, name) for name in _NAMING}
    return PersonItem(**known["person"], **naming), known["is_new"]
