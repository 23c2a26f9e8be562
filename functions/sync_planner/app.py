"""The schedules of the synchronisation, and the minute that fills its queue."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.catalogue.experiences import experiences
from holdfast.partners.pairs import Horizon, Product
from holdfast.partners.planner import Planner, planner_of
from holdfast.partners.registry import definitions
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.logs import logger
from holdfast.platform.metrics import count
from holdfast.platform.queues import SqsSyncQueue
from holdfast.platform.settings import SyncSettings, settings

_logger = logger()
_metrics = Metrics()


@cache
def store() -> Store:
    """Return this warm function's main table."""
    return connect(settings(SyncSettings).table_name)


@cache
def planner() -> Planner:
    """Return this warm function's planner."""
    own = settings(SyncSettings)
    return planner_of(connect(own.sync_table_name), SqsSyncQueue(own.sync_queue_url), definitions(own.partners))


@_metrics.log_metrics
def handler(event: dict[str, Any], _: Any) -> dict[str, int]:
    """Have wanted what the schedule of the event's `horizon` wants, if it has one, and fill the queue.

    Return the counts of the one, or else of the other.
    """
    if "horizon" in event:
        products = _products()
        runs = planner().schedule(Horizon(event["horizon"]), products)
        planner().refill_at_once(lambda: products)
        counts = {"planned": sum(run.planned for run in runs), "merged": sum(run.merged for run in runs)}
    else:
        counts = asdict(planner().refill(_products()))
        count("SyncOverdue", counts.pop("overdue"))
    for name, amount in counts.items():
        _metrics.add_metric(f"Pairs{name.title()}", MetricUnit.Count, amount)
    _logger.info("planned", extra={**counts, "horizon": event.get("horizon")})
    return counts


def _products() -> Sequence[Product]:
    return [Product(**experiences.facts_of(item)) for item in experiences.all_of_all(store())]
