"""What a checkout works with, besides the store: workflows, and for money the payment providers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.platform.workflows import Workflows
from holdfast.reservations.engine import Engine

if TYPE_CHECKING:
    from holdfast.checkout.payments.registry import Providers


@dataclass(frozen=True)
class Desk:
    """What a step on claims works with; `checkout_seconds` is how long a buyer has to pay if the hold ends sooner."""

    engine: Engine
    workflows: Workflows
    checkout_seconds: int = 600


@dataclass(frozen=True)
class PaymentDesk:
    """What a step on money works with."""

    engine: Engine
    workflows: Workflows
    providers: "Providers"
