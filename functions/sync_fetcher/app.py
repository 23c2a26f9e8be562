"""The synchronisation's queue: a message is a pair that a partner is asked for, and its answer is kept.

A message that cannot be read, or whose pair met an unexpected error, is handed back, and ends among the dead letters.
Lack of a grant or of time is none: such a pair is given back to the planner.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.catalogue.experiences import experiences, slots
from holdfast.catalogue.experiences.slots import DayBefore
from holdfast.partners.fetching import Fetcher
from holdfast.partners.limiter import Limiter
from holdfast.partners.pairs import Product
from holdfast.partners.port import Inventory, Partner
from holdfast.partners.registry import Definition, definitions, partner_of
from holdfast.partners.sheets import Sheets
from holdfast.platform.clock import SystemClock
from holdfast.platform.dynamodb import Store, connect
from holdfast.platform.logs import logger
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.secrets import SecretParameters
from holdfast.platform.settings import SyncFetcherSettings, SyncSettings, settings
from holdfast.reservations.engine import Engine

TIME_TO_ANSWER = 20_000
"""Milliseconds from a request's grant until its answer is kept, at the longest; nobody asks later than that."""

_PATIENCE = Retries(attempts=20, longest=1_000)
"""Of the limiter, at which all workers of a partner write, and of slots that many hold places of just now."""

_logger = logger()
_metrics = Metrics()


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(SyncSettings).table_name), retries=_PATIENCE)


@cache
def fetcher() -> Fetcher[DayBefore]:
    """Return this warm function's fetcher."""
    store, clock = connect(settings(SyncSettings).sync_table_name), SystemClock()
    return Fetcher(
        store=store,
        sheets=Sheets(store, clock, Retries()),
        products=product,
        partners=_partner,
        limiters=lambda name: _limiter(store, name),
        look=look,
        keep=keep,
        clock=clock,
        retries=Retries(),
    )


@_metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Ask for what the messages speak of; answer which messages have to come again."""
    enough_time_until = SystemClock().now() + context.get_remaining_time_in_millis() - TIME_TO_ANSWER
    failures: list[str] = []
    for record in event["Records"]:
        pair: dict[str, str] = {}
        try:
            message = SyncMessage.from_body(record["body"])
            pair = {"tenant": message.tenant, "experience": message.experience_id, "date": message.date}
            receive_count = int(record["attributes"]["ApproximateReceiveCount"])
            outcome = fetcher().work(message, receive_count, enough_time_until)
        except Exception:
            _logger.exception("a message of the synchronisation failed", extra=pair)
            failures.append(record["messageId"])
        else:
            _metrics.add_metric(f"Pairs{outcome.title().replace('_', '')}", MetricUnit.Count, 1)
    _metrics.add_metric("PairMessageFailures", MetricUnit.Count, len(failures))
    _logger.info("fetched", extra={"messages": len(event["Records"]), "failures": len(failures)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failures]}


def product(tenant: str, experience_id: str) -> Product | None:
    """Return the partner's product that a tenant sells as an experience; None where it does not any more."""
    found = experiences.find(engine().store, tenant, experience_id)
    return None if found is None else Product(**experiences.facts_of(found))


def look(product: Product, date: str, definition: Definition) -> DayBefore:
    """Return what is known of a product's day before the partner is asked, where its answer is to be seen by that."""
    if not definition.contains_our_sales:
        return DayBefore({})
    return slots.look(engine(), product.tenant, product.experience_id, date)


def keep(
    product: Product, date: str, before: DayBefore, said: Inventory, asked_at: int, definition: Definition
) -> bool:
    """Take in what a partner said of a product's day; return whether anything changed."""
    return slots.keep(
        engine(),
        product.tenant,
        product.experience_id,
        date,
        before,
        said.slots,
        may_close=said.is_whole,
        digest=said.digest,
        rejected=[(slot.slot_id, slot.reason) for slot in said.rejected],
        asked_at=asked_at,
        zone=definition.zone,
        contains_our_sales=definition.contains_our_sales,
    )


@cache
def _definitions() -> Mapping[str, Definition]:
    return definitions(settings(SyncSettings).partners)


@cache
def _secrets() -> SecretParameters:
    return SecretParameters(settings(SyncFetcherSettings).secrets_prefix)


def _partner(name: str) -> tuple[Definition, Partner] | None:
    """Return a partner with its key read: that takes its time, which a grant does not have."""
    definition = _definitions().get(name)
    return None if definition is None else (definition, partner_of(definition, _secrets()))


@cache
def _limiter(store: Store, name: str) -> Limiter:
    return Limiter(store, name, SystemClock(), _PATIENCE)
