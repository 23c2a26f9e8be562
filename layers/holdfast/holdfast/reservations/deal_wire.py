"""What clients of the older flash deals see of what they hold (WIRE.md, section 1)."""

from pydantic import BaseModel, ConfigDict, Field

from holdfast.platform.clock import to_text
from holdfast.platform.fields import Moment, ShownProductId, ShownReservationId, ShownUserId
from holdfast.reservations.deal_holds import DealHold


class DealHoldData(BaseModel):
    """What a user holds of a product in all, and until when."""

    model_config = ConfigDict(defer_build=True)

    user_id: ShownUserId
    product_id: ShownProductId
    quantity: int = Field(examples=[1])
    expires_at: Moment = Field(examples=["2026-03-01T10:10:00.250Z"])
    reservation_id: ShownReservationId = Field(examples=["h-abcdefghijklmnop-1a1f86a9b94-1"])


def shown(user: str, hold: DealHold) -> DealHoldData:
    """Return a user's hold as its clients see it."""
    return DealHoldData(
        user_id=user,
        product_id=hold.product_id,
        quantity=hold.quantity,
        expires_at=to_text(hold.expires_at),
        reservation_id=hold.reservation_id,
    )
