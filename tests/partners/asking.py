"""What tests of the adapter for inventories share: a partner to ask, and answers to be asked for."""

import copy
import json
from typing import Any

from holdfast.claims.slot import OfferedSlot
from holdfast.partners.calls import Calls
from holdfast.partners.inventory import InventoryApi, read_inventory
from holdfast.partners.port import Inventory, PartnerFailed, Rejected
from holdfast.platform.clock import Clock
from tests.partner.products import SAMPLE_DATE, SAMPLE_DAY
from tests.partner.server import PartnerServer

SAMPLE = SAMPLE_DAY[0]


def api_of(partner: PartnerServer, calls: Calls | None = None, clock: Clock | None = None) -> InventoryApi:
    """Return the adapter that asks the running partner, with its key."""
    return InventoryApi(partner.url, lambda: {"api_key": partner.api_key}, calls, clock)


def slot(slot_id: str = "ab12", **more: Any) -> dict[str, Any]:
    """Return the sample slot under an id, with other fields."""
    return copy.deepcopy(SAMPLE) | {"providerSlotId": slot_id} | more


def with_pax(**more: Any) -> dict[str, Any]:
    """Return the sample slot with other fields of its first pax type."""
    changed = slot()
    changed["paxAvailability"][0] |= more
    return changed


def with_price(**more: Any) -> dict[str, Any]:
    """Return the sample slot with another price of its first pax type."""
    changed = slot()
    changed["paxAvailability"][0]["price"] |= more
    return changed


def without(changed: dict[str, Any], *path: Any) -> dict[str, Any]:
    """Return a slot without the field that a path leads to."""
    left = copy.deepcopy(changed)
    inner: Any = left
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return left


def read(*slots: Any, date: str = SAMPLE_DATE) -> Inventory:
    """Return what is made of an answer of these slots."""
    return read_inventory(json.dumps(list(slots)).encode(), date)


def only(found: Inventory) -> OfferedSlot:
    """Return the one slot of an answer that has nothing wrong."""
    assert not found.rejected, found.rejected
    (one,) = found.slots
    return one


def rejected_alone(wrong: Any, beside: str = "cd34") -> Rejected:
    """Return why a slot is rejected, once it is seen that the good one before and the one after it are not."""
    found = read(slot(beside), wrong, slot(f"{beside}-2"))
    assert [each.slot_id for each in found.slots] == [beside, f"{beside}-2"]
    (rejected,) = found.rejected
    return rejected


def code_of(wrong: PartnerFailed) -> str:
    """Return the code of a failure, once its reason is seen to be a short sentence."""
    assert 0 < len(wrong.reason) < 300
    return wrong.code
