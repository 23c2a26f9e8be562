"""Lines of kind `listing`: a resale ticket, at the price that its seller asks at this moment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from holdfast.claims.terms import terms_of
from holdfast.claims.unit import is_free
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.errors import Fault, TicketNotFound, TicketReserved
from holdfast.platform.items import ListingItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import LineRequest, Opening
from holdfast.reservations.unit_demand import UnitDemand, Wanted, Wording

OWN = "own_listing"
"""The code of the fault of a line by which somebody would buy from themselves."""

_WORDING = Wording(
    taken=TicketReserved.code,
    taken_sentence=TicketReserved.sentence,
    unknown=TicketNotFound.code,
    unknown_sentence=TicketNotFound.sentence,
)


class ListingRoom:
    """The listings room, as the engine asks it. A listing is read anew each time: each is bought once."""

    def wants(self, tenant: str, line: LineRequest, _: int) -> Sequence[Key]:
        """Return the key of the listing."""
        return [_key(Keys(tenant), line)]

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> UnitDemand | Fault:
        """Return the listing as a demand; a fault where there is none, it is the user's own, or another has it."""
        key = _key(opening.keys, line)
        if key not in items:
            return Fault(line.field, _WORDING.unknown_sentence, _WORDING.unknown)
        listing = read(ListingItem, items[key])
        if listing.seller_id == opening.user:
            return Fault(line.field, "Nobody buys what they sell themselves.", OWN)
        if not is_free(listing, opening.now):
            return Fault(line.field, _WORDING.taken_sentence, _WORDING.taken)
        return UnitDemand(opening, line, [Wanted(key, terms_of(listing), replace(line, title=listing.title))], _WORDING)


def _key(keys: Keys, line: LineRequest) -> Key:
    assert line.ticket_id is not None
    return keys.listing(line.ticket_id)
