"""The steps on money of the workflows that check out and refund; a payload names one, and is told its outcome."""

from functools import cache
from typing import Any

from holdfast.checkout import payment_steps, refund_steps
from holdfast.checkout.claims_steps import Run
from holdfast.checkout.desk import PaymentDesk
from holdfast.checkout.faults import StepFault
from holdfast.checkout.payment_settings import ProvidersUsed
from holdfast.checkout.payments.registry import Providers
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.logs import logger
from holdfast.platform.secrets import SecretParameters
from holdfast.platform.settings import CheckoutPaymentsSettings, settings
from holdfast.platform.tables import Key
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine

_logger = logger()


@cache
def desk() -> PaymentDesk:
    """Return what this warm function's steps work with."""
    known = settings(CheckoutPaymentsSettings)
    engine = Engine(connect(known.table_name))
    used = ProvidersUsed(engine.store, known.default_payment_providers)
    providers = Providers(engine.store, SecretParameters(known.secrets_prefix), used)
    return PaymentDesk(engine, StepFunctions(known.checkout_workflow_arn), providers)


def handler(event: dict[str, Any], _: Any) -> dict[str, str]:
    """Take the step; raises StepFault where it could not be told what came of it, for the workflow to try again."""
    step, order = str(event["step"]), Key(**event["order"])
    try:
        if "refund" in event:
            outcome = refund_steps.PAYMENT_STEPS[step](desk(), order, Key(**event["refund"]))
        elif step == "await":
            run = Run(order, int(event["attempt"]))
            outcome = payment_steps.await_payment(desk(), run, str(event["task_token"]), int(event["task_try"]))
        else:
            outcome = payment_steps.STEPS[step](desk(), Run(order, int(event["attempt"])))
    except HoldfastError as fault:
        raise StepFault(fault.code) from fault
    _logger.info("step", extra={"step": step, "order": order.sk, "outcome": outcome})
    return {"outcome": outcome}
