"""The sweeper, once a minute: whatever fell due and slipped through is found by the index of due things."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.catalogue.products.terms import resume
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.settings import TableSettings, settings
from holdfast.platform.tables import DUE_BUCKETS, Key, is_hold, product_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.expiry import sweep

GRACE = 5_000
"""Milliseconds that the queue has for itself before the sweeper steps in."""

_ENOUGH = 10_000
"""Milliseconds of its own time that the sweeper leaves unused; the next minute goes on."""

_logger = Logger()
_metrics = Metrics()


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(TableSettings).table_name))


@_metrics.log_metrics
def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    """Expire lapsed holds and finish price changes that broke off; return how many of each."""
    swept = resumed = 0
    for bucket in range(DUE_BUCKETS):
        after, more = None, True
        while more and context.get_remaining_time_in_millis() > _ENOUGH:
            try:
                keys, after = engine().store.query_due(bucket, engine().clock.now() - GRACE, after)
                swept += sweep(engine(), [key for key in keys if is_hold(key)])
            except HoldfastError:
                _logger.exception("bucket left for the next minute", extra={"bucket": bucket})
                break
            resumed += sum(map(_resumed, keys))
            more = after is not None
    _metrics.add_metric("SweptHolds", MetricUnit.Count, swept)
    _logger.info("swept", extra={"holds": swept, "products": resumed})
    return {"holds": swept, "products": resumed}


def _resumed(key: Key) -> bool:
    """Finish the price change of the product at `key`; return whether there was one and it is finished."""
    if product_of(key) is None:
        return False
    try:
        resume(engine(), key)
    except HoldfastError:
        _logger.exception("product left for the next minute")
        return False
    return True
