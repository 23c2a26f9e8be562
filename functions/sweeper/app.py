"""The sweeper, once a minute: whatever fell due and slipped through is found by the index of due things."""

from collections import Counter
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.catalogue.halls import blackouts
from holdfast.catalogue.products import terms
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.settings import TableSettings, settings
from holdfast.platform.tables import DUE_BUCKETS, Key, is_blackout, is_hold, product_of
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
    """Expire lapsed holds, finish price changes and blackouts that broke off; return how many of each."""
    done = Counter(holds=0, products=0, blackouts=0)
    for bucket in range(DUE_BUCKETS):
        after, more = None, True
        while more and context.get_remaining_time_in_millis() > _ENOUGH:
            try:
                keys, after = engine().store.query_due(bucket, engine().clock.now() - GRACE, after)
                done["holds"] += sweep(engine(), [key for key in keys if is_hold(key)])
            except HoldfastError:
                _logger.exception("bucket left for the next minute", extra={"bucket": bucket})
                break
            done.update(filter(None, map(_resumed, keys)))
            more = after is not None
    _metrics.add_metric("SweptHolds", MetricUnit.Count, done["holds"])
    _logger.info("swept", extra=done)
    return dict(done)


def _resumed(key: Key) -> str | None:
    """Finish what broke off at `key`; return what it was, or None where there was nothing, or it is not finished."""
    try:
        if product_of(key) is not None:
            terms.resume(engine(), key)
            return "products"
        if is_blackout(key):
            blackouts.resume(engine(), key)
            return "blackouts"
    except HoldfastError:
        _logger.exception("what broke off is left for the next minute")
    return None
