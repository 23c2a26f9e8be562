"""The room's answers about lines of a cart: tickets that are counted, seats by name, and the best seats there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from holdfast.catalogue.events.best_available import BlockMemory, Search
from holdfast.catalogue.events.best_seats import Place
from holdfast.catalogue.events.facts import TicketType, TicketTypeFacts
from holdfast.claims.pool import Pool
from holdfast.claims.sold_out import REMEMBERED_FOR
from holdfast.platform.dynamodb import RawItem
from holdfast.platform.errors import Busy, Fault
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.draws import Short
from holdfast.reservations.engine import Demand, LineRequest, Opening
from holdfast.reservations.pool_demand import PoolDemand
from holdfast.reservations.unit_demand import UnitDemand, Wanted, Wording

_MOST_READINGS = 2
"""How often all blocks are read, twice each time, to prove that there are too few seats."""

_SEATS = Wording("seat_taken", "This seat is taken.", "seat_not_found", "There is no such seat.")


class _TicketRoom:
    """What lines of all three kinds need to know first: their ticket type."""

    def __init__(self, facts: TicketTypeFacts) -> None:
        """Take what this warm function knows of ticket types; the rooms of one function share it."""
        self._facts = facts

    def wants(self, tenant: str, line: LineRequest, now: int) -> Sequence[Key]:
        """Return the ticket type's key, unless memory knows it."""
        event_id, ticket_type_id = _ids_of(line)
        known = self._facts.remembered(tenant, event_id, ticket_type_id, now)
        return [] if known else [Keys(tenant).ticket_type(event_id, ticket_type_id)]

    def _ticket_type(
        self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem], numbered: bool
    ) -> TicketType | Fault:
        """Return the line's ticket type, as memory or `items` have it, if it is numbered or counted as it should be."""
        event_id, ticket_type_id = _ids_of(line)
        found = self._facts.remembered(opening.tenant, event_id, ticket_type_id, opening.now)
        if found is None:
            raw = items.get(opening.keys.ticket_type(event_id, ticket_type_id))
            if raw is None:
                return _unknown(line)
            found = self._facts.learn(event_id, raw, opening.now)
        if found.numbered == numbered:
            return found
        return _seats_to_be_named(line) if found.numbered else _no_seats(line)


class CountedTickets(_TicketRoom):
    """Lines of kind `ticket`."""

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return a demand for tickets of a pool, on the terms that memory or `items` have."""
        found = self._ticket_type(opening, line, items, numbered=False)
        if isinstance(found, Fault):
            return found

        def refresh() -> Pool | Fault:
            now = self._facts.now(opening.tenant, *_ids_of(line))
            return _unknown(line) if now is None else now.pool

        return PoolDemand.of(opening, line, found.pool, refresh)


class NamedSeats(_TicketRoom):
    """Lines of kind `seat`."""

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return a demand for one seat; its key is known from the row, and whether it is there from its own item."""
        found = self._ticket_type(opening, line, items, numbered=True)
        if isinstance(found, Fault):
            return found
        assert line.row is not None
        assert line.seat is not None
        if line.row not in found.rows:
            newer = self._facts.now(opening.tenant, *_ids_of(line))
            if newer is None or line.row not in newer.rows:
                return Fault(line.field, _SEATS.unknown_sentence, _SEATS.unknown)
            found = newer
        key = opening.keys.seat(found.event_id, found.id, found.rows[line.row], line.row, line.seat)
        return UnitDemand(opening, line, [Wanted(key, found.terms, line)], _SEATS)


class BestSeats(_TicketRoom):
    """Lines of kind `best_available`: so many of a ticket type's seats, chosen here; each is kept as a line `seat`."""

    def __init__(self, facts: TicketTypeFacts) -> None:
        """Take what this warm function knows of ticket types."""
        super().__init__(facts)
        self._memory = BlockMemory()

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return a demand for the best seats that are free, or that there are not that many; raises Busy.

        A shortage is proved, or was within the last moments; where others write too much for that, it is Busy.
        """
        found = self._ticket_type(opening, line, items, numbered=True)
        if isinstance(found, Fault):
            return found
        search = Search(opening, found, line.quantity, self._memory)
        engine, name = opening.engine, opening.keys.seats(found.event_id, found.id, 0)

        def choose(without: frozenset[Key]) -> list[Wanted] | Fault:
            if engine.memory.refuses(name, line.quantity, engine.clock.now()):
                return _short(line)
            for attempt in range(_MOST_READINGS):
                chosen = search.find(without)
                if isinstance(chosen, list):
                    return [self._wanted(line, search, place) for place in chosen]
                if self._has_grown(opening, line, search):
                    continue
                if isinstance(chosen, Short):
                    engine.memory.remember(name, chosen.left, chosen.read_started)
                    return _short(line)
                engine.retries.wait(attempt)
            raise Busy

        chosen = choose(frozenset())
        return chosen if isinstance(chosen, Fault) else UnitDemand(opening, line, chosen, _SEATS, choose)

    def _wanted(self, line: LineRequest, search: Search, place: Place) -> Wanted:
        named = replace(line, kind="seat", quantity=1, row=place.row, seat=place.seat)
        return Wanted(search.key(place), search.ticket_type.terms, named)

    def _has_grown(self, opening: Opening, line: LineRequest, search: Search) -> bool:
        """Return whether there are rows that the search does not know of, and let it know them."""
        now = opening.engine.clock.now()
        lately = self._facts.remembered(opening.tenant, *_ids_of(line), now, within=REMEMBERED_FOR)
        known = lately or self._facts.now(opening.tenant, *_ids_of(line))
        if known is None or known.rows == search.ticket_type.rows:
            return False
        search.ticket_type = known
        return True


def _ids_of(line: LineRequest) -> tuple[str, str]:
    assert line.event_id is not None
    assert line.ticket_type_id is not None
    return line.event_id, line.ticket_type_id


def _unknown(line: LineRequest) -> Fault:
    return Fault(line.field, "There is no such ticket type.", "ticket_type_not_found")


def _seats_to_be_named(line: LineRequest) -> Fault:
    return Fault(line.field, "Tickets of this type have numbered seats: name them.", "seats_not_named")


def _no_seats(line: LineRequest) -> Fault:
    return Fault(line.field, "Tickets of this type have no numbered seats.", "seat_not_found")


def _short(line: LineRequest) -> Fault:
    return Fault(line.field, "There are not that many seats left.", "insufficient_stock")
