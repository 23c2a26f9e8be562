"""A partner's tour in the functions' tests: put up over the API, and its answers taken in as the fetcher does."""

import json
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.catalogue.experiences import slots
from holdfast.claims.slot import Slot, read_slot
from holdfast.partners.inventory import read_inventory
from holdfast.platform.dynamodb import connect
from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine
from tests.handlers.account import TABLE
from tests.handlers.gateway import Answer, Api

ZONE = ZoneInfo("Asia/Singapore")
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
Said = dict[str, Any]


def pax(
    pax_type: str = "ADULT_12~99", remaining: int = 10, final: float = 341, original: float = 441, **more: Any
) -> Said:
    """Return what a partner says of a pax type."""
    return {
        "type": pax_type,
        "name": pax_type.partition("_")[0].capitalize(),
        "description": "of some age",
        "min": 1,
        "max": 20,
        "remaining": remaining,
        "isPrimary": pax_type.startswith("ADULT"),
        "price": {"finalPrice": final, "originalPrice": original, "currencyCode": "SGD"},
        **more,
    }


def slot(slot_id: str = "ab12", remaining: int = 10, *types: Said, start: str = "10:00", **more: Any) -> Said:
    """Return what a partner says of a slot, on a date that is filled in later: adults, unless types are given."""
    return {
        "startTime": start,
        "endTime": None,
        "providerSlotId": slot_id,
        "remaining": remaining,
        "currencyCode": "SGD",
        "paxAvailability": list(types) or [pax(remaining=remaining)],
        **more,
    }


@dataclass
class Tour:
    """One experience, as its partner tells of it."""

    api: Api
    id: str = "15"
    last_asked_at: int = 0

    def put_up(self, **more: Any) -> "Tour":
        """Put it up, running every day unless told otherwise."""
        body = {"id": self.id, "name": "Midnight safari", "partner": "tours", "partner_product_id": self.id, **more}
        answer = self.api.post("/api/v1/experiences", {"weekdays": EVERY_DAY, **body})
        assert answer.status == 201, answer.text
        return self

    def says(self, day: str, *said: Said, asked_at: int | None = None, contains_our_sales: bool = False) -> bool:
        """Let the partner say of a day that there are these slots and no others; return whether that was news."""
        return self.answers(day, [{"startDate": day, **each} for each in said], asked_at, contains_our_sales)

    def answers(self, day: str, said: Any, asked_at: int | None = None, contains_our_sales: bool = False) -> bool:
        """Let the partner answer so, to the letter."""
        engine = Engine(connect(TABLE))
        at = self.last_asked_at = asked_at or max(engine.clock.now(), self.last_asked_at + 1)
        before = slots.look(engine, self.api.tenant, self.id, day)
        inventory = read_inventory(json.dumps(said).encode(), day)
        return slots.keep(
            engine,
            self.api.tenant,
            self.id,
            day,
            before,
            inventory.slots,
            may_close=inventory.is_whole,
            digest=inventory.digest,
            rejected=[(each.slot_id, each.reason) for each in inventory.rejected],
            asked_at=at,
            zone=ZONE,
            contains_our_sales=contains_our_sales,
        )

    def slots(self, day: str, **options: Any) -> Answer:
        """Read a day's slots as older clients do."""
        return self.api.get(f"/api/v1/experience/{self.id}/slots?date={day}", **options)

    def slots_to_book(self, day: str, **options: Any) -> Answer:
        """Read a day's slots as carts name them."""
        return self.api.get(f"/api/v1/experiences/{self.id}/slots?date={day}", **options)

    def dates(self, **options: Any) -> Answer:
        """Read the days of which something can be had."""
        return self.api.get(f"/api/v1/experience/{self.id}/dates", **options)

    def hold(self, user: str, day: str, slot_id: str = "ab12", **places: int) -> Answer:
        """Hold places of a slot; types by the beginning of their names (`adult=2`)."""
        types = {"adult": "ADULT_12~99", "child": "CHILD_5~15", "infant": "INFANT_0~4"}
        chosen = {types[name]: number for name, number in places.items()}
        line = {"kind": "slot", "experience_id": self.id, "date": day, "slot_id": slot_id, "pax": chosen}
        body = {"items": [line], "user_id": user}
        return self.api.post("/api/v1/reservations", body, key=f"{user}-{slot_id}-{day}")

    def raw(self, day: str, slot_id: str = "ab12") -> Any:
        """Return a slot's item."""
        return connect(TABLE).get_raw(Keys(self.api.tenant).slot(self.id, day, slot_id))

    def stored(self, day: str, slot_id: str = "ab12") -> Slot:
        """Return a slot as it is stored."""
        return read_slot(self.raw(day, slot_id))
