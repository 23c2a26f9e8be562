"""The steps on goods of the workflows that check out and refund; a payload names one, and is told its outcome."""

from functools import cache
from typing import Any

from holdfast.checkout import claims_steps, refund_steps
from holdfast.checkout.claims_steps import Run
from holdfast.checkout.desk import Desk
from holdfast.checkout.faults import StepFault
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.logs import logger
from holdfast.platform.settings import CheckoutClaimsSettings, settings
from holdfast.platform.tables import Key
from holdfast.platform.workflows import StepFunctions
from holdfast.reservations.engine import Engine

_logger = logger()


@cache
def desk() -> Desk:
    """Return what this warm function's steps work with."""
    known = settings(CheckoutClaimsSettings)
    engine = Engine(connect(known.table_name))
    return Desk(engine, StepFunctions(known.checkout_workflow_arn), known.checkout_seconds)


def handler(event: dict[str, Any], _: Any) -> dict[str, str]:
    """Take the step; raises StepFault where it could not be told what came of it, for the workflow to try again."""
    step, order = str(event["step"]), Key(**event["order"])
    try:
        if "refund" in event:
            outcome = refund_steps.CLAIMS_STEPS[step](desk(), order, Key(**event["refund"]))
        else:
            run = Run(order, int(event["attempt"]), event.get("outcomes", {}))
            outcome = claims_steps.STEPS[step](desk(), run)
    except HoldfastError as fault:
        raise StepFault(fault.code) from fault
    _logger.info("step", extra={"step": step, "order": order.sk, "outcome": outcome})
    return {"outcome": outcome}
