"""A partner that is asked and answers, each in its own time, and everything that is then known of the day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences import slots
from holdfast.catalogue.experiences.slots import DayBefore
from holdfast.catalogue.experiences.summaries import read_day
from holdfast.claims.slot import Counters, OfferedSlot, PaxTerms, Slot
from holdfast.platform.dynamodb import read
from holdfast.platform.items import DaySummaryItem, ShortageItem, SlotDayItem
from tests.engine.shop import Shop
from tests.engine.tours import DAY, TOUR, UTC, Tour


@dataclass(frozen=True)
class Question:
    """One request to the partner: what was known before it, and when it was sent (ms)."""

    before: DayBefore
    asked_at: int


@dataclass(frozen=True)
class Known:
    """What is known of the day, but for when it was written."""

    slots: dict[str, tuple[bool, str, tuple[PaxTerms, ...], Counters, dict[str, Counters]]]
    summary: tuple[int | None, int | None, str | None] | None
    short: dict[str, int]
    reported: tuple[str | None, str | None, str | None]


class Asking(Tour):
    """A tour whose partner is asked now and answers later."""

    def ask(self) -> Question:
        """Send a request."""
        self.shop.clock.forward(1)
        before = slots.look(self.shop.engine, self.shop.tenant, TOUR, DAY)
        return Question(before, self.shop.clock.now())

    def take(
        self,
        question: Question,
        *said: OfferedSlot,
        shop: Shop | None = None,
        rejected: Sequence[tuple[str | None, str]] = (),
        may_close: bool = True,
        zone: ZoneInfo = UTC,
    ) -> bool:
        """Take in what the partner answered: these slots, and no others; return whether it is news."""
        function = shop or self.shop
        answer = repr((sorted((replace(slot, aside={}) for slot in said), key=str), sorted(map(str, rejected))))
        return slots.keep(
            function.engine,
            function.tenant,
            TOUR,
            DAY,
            question.before,
            said,
            may_close=may_close,
            digest=sha256(answer.encode()).hexdigest(),
            rejected=rejected,
            asked_at=question.asked_at,
            zone=zone,
            contains_our_sales=self.contains_our_sales,
        )

    def hears(self, *said: OfferedSlot, **options: Any) -> bool:
        """Ask the partner, and take in what it says at once."""
        return self.take(self.ask(), *said, **options)

    def header(self) -> SlotDayItem:
        """Return what is known of the day as a whole."""
        found = self.shop.store.get(SlotDayItem, self.shop.keys.slot_day(TOUR, DAY))
        assert found is not None
        return found

    def summary(self) -> DaySummaryItem | None:
        """Return the day in short."""
        return self.shop.store.get(DaySummaryItem, self.shop.keys.day_summary(TOUR, DAY))

    def slots(self) -> list[Slot]:
        """Return all slots of the day that ever were."""
        return list(read_day(self.shop.store, self.shop.keys, TOUR, DAY).slots)

    def short(self) -> dict[str, int]:
        """Return by how much each slot is said to fall short."""
        items = self.shop.store.query(self.shop.keys.shortages(), limit=1_000).items
        return {item.slot_id: item.missing for item in (read(ShortageItem, raw) for raw in items)}

    def known(self) -> Known:
        """Return everything that is known of the day."""
        header, summary = self.header(), self.summary()
        terms = {
            slot.key.sk: (slot.on_sale, slot.start_time, slot.pax, slot.whole, dict(slot.by_type))
            for slot in self.slots()
        }
        price = (summary.final_minor, summary.original_minor, summary.currency) if summary else None
        return Known(terms, price, self.short(), (header.digest, header.rejected, header.aside))
