"""The sweeper, once a minute: whatever fell due and slipped through is found by the index of due things."""

import random
from collections import Counter
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.catalogue.halls import blackouts
from holdfast.catalogue.products import terms
from holdfast.checkout import overdue, resuming
from holdfast.platform.dynamodb import connect
from holdfast.platform.logs import logger
from holdfast.platform.settings import WorkflowSettings, settings
from holdfast.platform.tables import DUE_BUCKETS, Key, is_blackout, is_hold, is_order, is_refund, product_of
from holdfast.platform.workflows import StepFunctions, Workflows
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import Overdue, sweep

GRACE = 5_000
"""Milliseconds that the queue has for itself before the sweeper steps in."""

_ENOUGH = 10_000
"""Milliseconds of its own time that the sweeper leaves unused; the next minute goes on."""

_LEFT = "left"

_logger = logger()
_metrics = Metrics()


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(WorkflowSettings).table_name))


@cache
def _checkouts() -> Workflows:
    return StepFunctions(settings(WorkflowSettings).checkout_workflow_arn)


@cache
def _refunds() -> Workflows:
    return StepFunctions(settings(WorkflowSettings).refund_workflow_arn)


@cache
def _tell_overdue() -> Overdue:
    return overdue.telling(engine(), _checkouts())


@_metrics.log_metrics
def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    """Expire lapsed holds; take up orders, refunds, price changes and blackouts that broke off; return how many.

    Holds come first: what is taken up asks other services than the table, and may use all the time that there is.
    """
    done = Counter(holds=0, products=0, blackouts=0, orders=0, refunds=0)
    others: list[Key] = []
    for bucket in range(DUE_BUCKETS):
        after, more = None, True
        while more and context.get_remaining_time_in_millis() > _ENOUGH:
            try:
                keys, after = engine().store.query_due(bucket, engine().clock.now() - GRACE, after)
                done["holds"] += sweep(engine(), [key for key in keys if is_hold(key)], _tell_overdue())
            except Exception:
                # Whatever is wrong with one bucket, the others are swept.
                _logger.exception("bucket left for the next minute", extra={"bucket": bucket})
                done[_LEFT] += 1
                break
            others += [key for key in keys if not is_hold(key)]
            more = after is not None
    for key in _in_any_order(others):
        if context.get_remaining_time_in_millis() <= _ENOUGH:
            break
        done.update(filter(None, [_resumed(key)]))
    _metrics.add_metric("SweepLeft", MetricUnit.Count, done.pop(_LEFT, 0))
    _metrics.add_metric("SweptHolds", MetricUnit.Count, done["holds"])
    _logger.info("swept", extra=done)
    return dict(done)


def _in_any_order(keys: list[Key]) -> list[Key]:
    """Return the keys so that none is always last: each minute has only so much time."""
    return random.sample(keys, len(keys))


def _resumed(key: Key) -> str | None:
    """Take up what broke off at `key`; return what it was, or None where there was nothing to take up.

    What could not be taken up is left for the next minute, whatever was wrong with it.
    """
    try:
        if product_of(key) is not None:
            terms.resume(engine(), key)
            return "products"
        if is_blackout(key):
            blackouts.resume(engine(), key)
            return "blackouts"
        if is_order(key) and resuming.resume_order(engine(), _checkouts(), key):
            return "orders"
        if is_refund(key) and resuming.resume_refund(engine(), _refunds(), key):
            return "refunds"
    except Exception:
        _logger.exception("what broke off is left for the next minute", extra={"key": key})
        return _LEFT
    return None
