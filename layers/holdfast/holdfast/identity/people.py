"""People that a tenant knows by phone: one person a phone number, whoever asks at the same time.

A person and the item that says whose a phone is are written in one transaction, so that neither is ever there without
the other. A change is guarded by the person's `version`; one whose answer was lost is known again, because what it
wanted is there already (PROTOCOL.md 8).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_hex
from typing import Any, TypedDict

from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.dynamodb import Cancelled, Contended, Delete, Put, Store, Write
from holdfast.platform.errors import Busy, Fault, PhoneInUse, UserNotFound
from holdfast.platform.identity_items import PersonItem, PhoneItem
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


Rule = Callable[[PersonItem], bool]
"""Says of somebody known whether they are changed; who is not stays as they are. It may raise Forbidden instead."""


def anybody(_: PersonItem) -> bool:
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
    already is not written again. Raises IdempotencyKeyReused and Busy.
    """
    known = keyed.replay(directory.store) if keyed is not None else None
    if known is not None:
        return _replayed(known)
    wanted = Changes(name=name)
    if email is not None:
        wanted["email"] = email
    if role is not None:
        wanted["role"] = role
    new = _new(directory.clock.now(), tenant, phone, wanted)
    for attempt in directory.retries:
        planned = _planned(directory, tenant, new, wanted, rule)
        if planned is None:
            directory.retries.wait(attempt)
            continue
        person, writes = planned
        is_new = person.user_id == new.user_id
        if keyed is not None:
            answer = {"person": person.attribute_values, "is_new": is_new}
            writes = [keyed.record(answer, directory.clock.now()), *writes]
        if not writes:
            return person, is_new
        try:
            directory.store.transact(writes)
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            known = keyed.settle(refusal.reasons) if keyed is not None else None
            if known is not None:
                return _replayed(known)
            directory.retries.wait(attempt)
        else:
            return person, is_new
    raise Busy


def find(directory: Directory, tenant: str, user_id: str) -> PersonItem:
    """Return a person of the tenant; raises UserNotFound."""
    person = directory.store.get(PersonItem, Keys(tenant).person(user_id))
    if person is None:
        raise UserNotFound
    return person


def find_by_phone(directory: Directory, tenant: str, phone: str) -> PersonItem:
    """Return the person who has `phone` (E.164); raises UserNotFound."""
    owner = directory.store.get(PhoneItem, Keys(tenant).phone(phone))
    if owner is None:
        raise UserNotFound
    return find(directory, tenant, owner.user_id)


def change(directory: Directory, tenant: str, user_id: str, wanted: Changes, rule: Rule = anybody) -> PersonItem:
    """Change what is given of a person, if `rule` lets them be changed, and return the person as it then is.

    A new phone (E.164) is taken, and the old one let go, in the same transaction. Raises UserNotFound, PhoneInUse where
    somebody else has the phone, and Busy.
    """
    for attempt in directory.retries:
        found = find(directory, tenant, user_id)
        person, writes = _changed(found, wanted, directory.clock.now(), rule)
        if not writes:
            return found
        if person.phone != found.phone:
            writes = [*_moved_phone(tenant, found, person.phone), *writes]
        try:
            directory.store.transact(writes)
        except Contended:
            directory.retries.wait(attempt)
        except Cancelled as refusal:
            _refuse_taken_phone(refusal, user_id)
            directory.retries.wait(attempt)
        else:
            return person
    raise Busy


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
    found = directory.store.get(PersonItem, Keys(tenant).person(owner.user_id))
    if found is None or found.phone != new.phone:
        return None
    return _changed(found, wanted, directory.clock.now(), rule)


def _new(now: int, tenant: str, phone: str, wanted: Changes) -> PersonItem:
    """Return a new person. Ids stand in the order of their making, so that a list only grows at its end."""
    user_id = f"{now:011x}{token_hex(7)[1:]}"
    return PersonItem(
        *Keys(tenant).person(user_id),
        user_id=user_id,
        name=wanted["name"],
        phone=phone,
        email=wanted.get("email"),
        role=wanted.get("role", Role.CUSTOMER).value,
        version=1,
        created_at=now,
        updated_at=now,
    )


def _changed(found: PersonItem, wanted: Changes, now: int, rule: Rule) -> tuple[PersonItem, list[Write]]:
    """Return the person as wanted, if `rule` allows it, and the guarded write of what is different."""
    if not rule(found) or all(getattr(found, name) == value for name, value in wanted.items()):
        return found, []
    values = {**found.attribute_values, **wanted, "version": found.version + 1, "updated_at": now}
    person = PersonItem(**values)
    return person, [Put(person, PersonItem.version == found.version)]


def _moved_phone(tenant: str, found: PersonItem, phone: str) -> list[Write]:
    """Return the writes that take the new phone, first, and let go of the old one."""
    taken = PhoneItem(*Keys(tenant).phone(phone), user_id=found.user_id)
    return [
        Put(taken, PhoneItem.pk.does_not_exist()),
        Delete(Keys(tenant).phone(found.phone), PhoneItem.user_id == found.user_id),
    ]


def _refuse_taken_phone(refusal: Cancelled, user_id: str) -> None:
    """Raise PhoneInUse if the first write, that of the new phone, found it to be another's."""
    reason = refusal.reasons[0]
    if reason is not None and reason.item is not None and reason.item["user_id"]["S"] != user_id:
        raise PhoneInUse(faults=[Fault("phone", PhoneInUse.sentence, PhoneInUse.code)])


def _replayed(known: Any) -> tuple[PersonItem, bool]:
    return PersonItem(**known["person"]), known["is_new"]
