"""A tour to sell places of: what its partner says, taken in as a sync does, and short words for what was made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences import slots
from holdfast.claims.slot import Counters, OfferedPax, OfferedSlot, Slot, read_slot
from holdfast.platform.dynamodb import Put
from holdfast.platform.items import ExperienceItem
from holdfast.platform.tables import Key
from holdfast.reservations.engine import LineRequest
from tests.engine.shop import Shop

TOUR = "14"
DAY = "2023-12-16"
"""A month ahead, by the clock that shops start with."""

MORNING = "ab12"
ADULT, CHILD, INFANT = "ADULT_12~99", "CHILD_5~15", "INFANT_0~4"
PRICES = {ADULT: 34_100, CHILD: 13_700, INFANT: 0}

UTC = ZoneInfo("UTC")


def pax(pax_type: str, places: int, minimum: int = 1, maximum: int = 20, price_minor: int | None = None) -> OfferedPax:
    """Return what a partner says of a pax type."""
    final = PRICES[pax_type] if price_minor is None else price_minor
    name = pax_type.partition("_")[0].capitalize()
    return OfferedPax(pax_type, name, "", minimum, maximum, places, pax_type == ADULT, final, final + 10_000)


def offered(
    slot_id: str = MORNING, places: int = 10, *types: OfferedPax, start: str = "10:00", currency: str = "SGD"
) -> OfferedSlot:
    """Return what a partner says of a slot: adults and children up to its places, unless types are given."""
    return OfferedSlot(slot_id, start, None, places, currency, types or (pax(ADULT, places), pax(CHILD, places)), {})


def places(slot_id: str = MORNING, /, **wanted: int) -> LineRequest:
    """Return a line for places of a slot, such as `adult=2, child=1`."""
    types = {"adult": ADULT, "child": CHILD, "infant": INFANT}
    chosen = tuple(sorted((types[name], number) for name, number in wanted.items()))
    named = {"experience_id": TOUR, "date": DAY, "slot_id": slot_id}
    return LineRequest("slot", "", sum(wanted.values()), pax=chosen, **named)


@dataclass
class Tour:
    """One experience of a shop on one day, as its partner tells of it."""

    shop: Shop
    contains_our_sales: bool = False
    was_asked: bool = False

    def __post_init__(self) -> None:
        """Have the shop sell the experience, every day."""
        now = self.shop.clock.now()
        sold = ExperienceItem(
            *self.shop.keys.experience(TOUR),
            experience_id=TOUR,
            name="Island tour",
            partner="tours",
            partner_product_id=TOUR,
            weekdays=list(range(1, 8)),
            enabled=True,
            version=1,
            created_at=now,
            updated_at=now,
        )
        self.shop.store.write(Put(sold))

    def says(self, *said: OfferedSlot) -> bool:
        """Let the partner be asked, and take in what it says: these slots, and no others; return whether it is news.

        Every time but the first a moment passes before.
        """
        shop = self.shop
        if self.was_asked:
            shop.clock.forward(1)
        self.was_asked, asked_at = True, shop.clock.now()
        before = slots.look(shop.engine, shop.tenant, TOUR, DAY)
        return slots.keep(
            shop.engine,
            shop.tenant,
            TOUR,
            DAY,
            before,
            said,
            may_close=True,
            digest=str(asked_at),
            rejected=(),
            asked_at=asked_at,
            zone=UTC,
            contains_our_sales=self.contains_our_sales,
        )

    def key(self, slot_id: str = MORNING) -> Key:
        """Return the key of a slot."""
        return self.shop.keys.slot(TOUR, DAY, slot_id)

    def slot(self, slot_id: str = MORNING) -> Slot:
        """Return a slot as it is stored."""
        raw = self.shop.store.get_raw(self.key(slot_id))
        assert raw is not None
        return read_slot(raw)

    def count(self, pax_type: str | None = None, slot_id: str = MORNING) -> tuple[int, int, int]:
        """Return how many places are available, held and sold: of a pax type, or of the whole slot."""
        slot = self.slot(slot_id)
        counters = slot.whole if pax_type is None else slot.by_type[pax_type]
        return counters.available, counters.held, counters.sold

    def counts(self, slot_id: str = MORNING) -> Mapping[str, Counters]:
        """Return all counters of a slot, those of the whole under no name."""
        slot = self.slot(slot_id)
        return {"": slot.whole, **slot.by_type}
