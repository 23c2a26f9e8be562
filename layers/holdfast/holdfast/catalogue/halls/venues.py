"""Venues: created, read, listed, changed. What a venue costs and how it is booked is read with each booking, fresh."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from holdfast.catalogue.halls import moments
from holdfast.catalogue.halls.alternatives import Turnaround
from holdfast.catalogue.halls.settings import VenueSettings, VenueSettingsChange
from holdfast.platform.dynamodb import Cancelled, Contended, Put, read
from holdfast.platform.errors import Busy, Fault, Malformed, VenueNotFound
from holdfast.platform.items import VenueItem
from holdfast.platform.tables import Key, Keys, id_of
from holdfast.reservations import creation
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest
from holdfast.reservations.numbering import next_number

_PREFIX_LETTERS = 3
_NAMELESS = "VEN"


@dataclass(frozen=True)
class NewVenue:
    """A venue to be opened. `base_price_minor` is in minor units; `prefix` None is derived from the name's letters."""

    name: str
    address: str
    capacity: int
    base_price_minor: int
    currency: str
    time_zone: str
    prefix: str | None
    settings: VenueSettings


@dataclass(frozen=True)
class Venue:
    """A venue as it was read, and its id."""

    id: str
    item: VenueItem

    @cached_property
    def settings(self) -> VenueSettings:
        """Return what its owner set."""
        return VenueSettings.model_validate_json(self.item.settings)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return its time zone."""
        return ZoneInfo(self.item.time_zone)

    @property
    def turnaround(self) -> Turnaround:
        """Return the time that is kept free around each booking."""
        settings = self.settings
        return Turnaround(settings.before, settings.after)


def create(engine: Engine, tenant: str, venue: NewVenue, keyed: KeyedRequest | None) -> Venue:
    """Open a venue and return it; the same idempotency key returns it as it was then.

    Ids are the tenant's own numbers from 1. Written in one transaction: the venue and the idempotency record. Raises
    Malformed naming `timeZone`, IdempotencyKeyReused and Busy.
    """
    moments.zone_of(venue.time_zone, "timeZone")
    known = creation.replayed(engine, VenueItem, keyed)
    if known is not None:
        return _found(known)
    key = Keys(tenant).venue(str(next_number(engine, Keys(tenant).counter("venues"))))
    return _found(creation.make(engine, _new(key, venue, engine.clock.now()), [], keyed))


def get(engine: Engine, tenant: str, venue_id: str) -> Venue:
    """Return a venue; raises VenueNotFound."""
    item = engine.store.get(VenueItem, Keys(tenant).venue(venue_id))
    if item is None:
        raise VenueNotFound
    return Venue(venue_id, item)


def list_all(engine: Engine, tenant: str, limit: int, after: str | None) -> tuple[list[Venue], str | None]:
    """Return up to `limit` venues in the order of their ids, after venue `after`, and the id to go on after."""
    keys = Keys(tenant)
    page = engine.store.query(keys.venues(), limit=limit, after=keys.venue(after) if after else None)
    found = [_found(read(VenueItem, raw)) for raw in page.items]
    return found, found[-1].id if page.after and found else None


def change(engine: Engine, tenant: str, venue_id: str, changed: Callable[[Venue], Mapping[str, Any]]) -> Venue:
    """Change what `changed` says of the venue as it is (attributes by name), and return it as it then is.

    One write, if nobody changed the venue since it was read; else it is made anew of what the other left. What is
    booked stays as it was booked. Raises VenueNotFound and Busy.
    """
    for attempt in engine.retries:
        venue = get(engine, tenant, venue_id)
        wanted = {name: value for name, value in changed(venue).items() if getattr(venue.item, name) != value}
        if not wanted:
            return venue
        revision = venue.item.revision
        attributes = {**venue.item.attribute_values, **wanted}
        attributes |= {"revision": revision + 1, "updated_at": engine.clock.now()}
        item = VenueItem(**attributes)
        try:
            engine.store.write(Put(item, VenueItem.revision == revision))
        except (Contended, Cancelled):
            engine.retries.wait(attempt)
        else:
            return Venue(venue_id, item)
    raise Busy


def merged(settings: VenueSettings, changes: VenueSettingsChange) -> VenueSettings:
    """Return settings with those that `changes` was given, at any depth; lists of rules are replaced whole.

    Raises Malformed where they do not go together.
    """
    try:
        return VenueSettings.model_validate(_laid_over(settings.model_dump(), changes.model_dump(exclude_unset=True)))
    except ValidationError as wrong:
        fault = Fault("settings", "These do not go together with the venue's other settings.", "settings_disagree")
        raise Malformed(faults=[fault]) from wrong


def _laid_over(known: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    deeper = {name: _laid_over(known[name], new) for name, new in changes.items() if isinstance(new, dict)}
    return {**known, **changes, **deeper}


def prefix_of(name: str) -> str:
    """Return what booking numbers of a venue called `name` begin with: its first three letters, "Parkside" "PAR"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    letters = "".join(letter for letter in plain.upper() if letter.isalpha())
    return (letters + _NAMELESS)[:_PREFIX_LETTERS]


def _new(key: Key, venue: NewVenue, now: int) -> VenueItem:
    return VenueItem(
        *key,
        name=venue.name,
        address=venue.address,
        capacity=venue.capacity,
        base_price_minor=venue.base_price_minor,
        currency=venue.currency,
        time_zone=venue.time_zone,
        prefix=venue.prefix or prefix_of(venue.name),
        settings=venue.settings.model_dump_json(),
        active=True,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def _found(item: VenueItem) -> Venue:
    return Venue(id_of(item.key), item)
