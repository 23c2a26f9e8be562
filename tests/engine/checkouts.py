"""The workflows of one warm function's checkouts, run in this process on its own store and clock."""

from typing import Any

from holdfast.checkout import claims_steps, payment_steps, refund_steps
from holdfast.checkout.claims_steps import Run
from holdfast.checkout.desk import Desk, PaymentDesk
from holdfast.checkout.faults import StepFault
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.registry import Providers
from holdfast.platform.errors import HoldfastError
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Engine
from tests.engine.faults import Crash
from tests.workflow import Data, Failed, Function, Machines

CHECKOUT_SECONDS = 600


class NoSecrets:
    """A deployment without any secrets: the sandbox and payments made elsewhere need none."""

    def read(self, name: str) -> dict[str, Any]:
        """Refuse every name."""
        raise KeyError(name)


def machines_of(engine: Engine, checkout_seconds: int = CHECKOUT_SECONDS) -> Machines:
    """Return the state machines whose steps work with this engine; a step that dies is one that Lambda tells of."""

    def claims(event: Data) -> str:
        order = Key(**event["order"])
        if "refund" in event:
            return refund_steps.CLAIMS_STEPS[event["step"]](desk, order, Key(**event["refund"]))
        run = Run(order, event["attempt"], event.get("outcomes", {}))
        return claims_steps.STEPS[event["step"]](desk, run)

    def payments(event: Data) -> str:
        order = Key(**event["order"])
        if "refund" in event:
            return refund_steps.PAYMENT_STEPS[event["step"]](payment_desk, order, Key(**event["refund"]))
        run = Run(order, event["attempt"])
        if event["step"] == "await":
            return payment_steps.await_payment(payment_desk, run, event["task_token"], event["task_try"])
        return payment_steps.STEPS[event["step"]](payment_desk, run)

    machines = Machines(_answering(claims), _answering(payments))
    desk = Desk(engine, machines.checkout, checkout_seconds)
    providers = Providers(engine.store, NoSecrets(), ProvidersUsed(engine.store, "sandbox"), engine.clock)
    payment_desk = PaymentDesk(engine, machines.checkout, providers)
    return machines


def _answering(step: Function) -> Function:
    def function(event: Data) -> Data:
        try:
            return {"outcome": step(event)}
        except HoldfastError as fault:
            raise StepFault(fault.code) from fault
        except Crash as dead:
            raise Failed("Lambda.Unknown") from dead

    return function
