"""Lines of kind "venue": a stretch of time in a hall, at the price and with the turnaround of the moment."""

from collections.abc import Mapping, Sequence

from holdfast.catalogue.halls.pricing import price_of
from holdfast.catalogue.halls.rules import Fields, faults_of
from holdfast.catalogue.halls.settings import DAY
from holdfast.catalogue.halls.venues import Venue
from holdfast.claims.span import MAX_DAYS, Span, days_of
from holdfast.claims.terms import Terms
from holdfast.platform.dynamodb import RawItem, read
from holdfast.platform.errors import Fault
from holdfast.platform.items import VenueItem
from holdfast.platform.tables import Key, Keys
from holdfast.reservations.engine import Demand, LineRequest, Opening
from holdfast.reservations.span_demand import SpanDemand


class VenueRoom:
    """The halls room, as the engine asks it. Nothing is remembered: a venue is read with its days, in one request."""

    def wants(self, tenant: str, line: LineRequest, now: int) -> Sequence[Key]:
        """Return the keys of the venue and of every day that the span may touch with any turnaround."""
        keys = Keys(tenant)
        venue_id, span = _wish(line)
        if not 0 < span.end - span.start <= MAX_DAYS * DAY:
            return [keys.venue(venue_id)]
        around = Span(span.start - DAY, span.end + DAY)
        return [keys.venue(venue_id), *(keys.day(venue_id, date) for date in days_of(around))]

    def demand(self, opening: Opening, line: LineRequest, items: Mapping[Key, RawItem]) -> Demand | Fault:
        """Return the line as a demand of the span with its turnaround, priced; or why there can be none."""
        venue_id, span = _wish(line)
        raw = items.get(opening.keys.venue(venue_id))
        venue = Venue(venue_id, read(VenueItem, raw)) if raw else None
        if venue is None or not venue.item.active:
            return Fault(line.field, "There is no such venue.", "venue_not_found")
        fields = Fields(start=line.field, end=line.field)
        for fault in faults_of(venue.settings, span.start, span.end, opening.now, fields):
            return fault
        terms = terms_of_booking(venue, span, opening.now)
        return SpanDemand.of(opening, line, venue_id, venue.turnaround.around(span), terms, items)


def terms_of_booking(venue: Venue, span: Span, now: int) -> Terms:
    """Return what a booking of `span` costs that is made at `now` (ms)."""
    item = venue.item
    price = price_of(venue.settings.pricing, item.base_price_minor, venue.zone, span.start, span.end, now)
    return Terms(item.revision, price, item.currency, item.active, None)


def _wish(line: LineRequest) -> tuple[str, Span]:
    assert line.venue_id is not None
    assert line.start is not None
    assert line.end is not None
    return line.venue_id, Span(line.start, line.end)
