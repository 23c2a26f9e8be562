"""Once an hour: accounts that nobody confirmed in time are removed from the user pool."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.identity import unconfirmed
from holdfast.identity.people import Directory
from holdfast.platform import user_pool
from holdfast.platform.dynamodb import connect
from holdfast.platform.logs import logger
from holdfast.platform.settings import UserPoolSettings, settings
from holdfast.platform.user_pool import UserPool

_ENOUGH = 15_000
"""Milliseconds of its own time that the function leaves unused, for the removal it is at; the next hour goes on."""

_logger = logger()
_metrics = Metrics()


@cache
def directory() -> Directory:
    """Return this warm function's view of who is known."""
    return Directory(connect(settings(UserPoolSettings).identity_table_name))


@cache
def pool() -> UserPool:
    """Return the pool in which accounts are."""
    return user_pool.connect(settings(UserPoolSettings).user_pool_id)


@_metrics.log_metrics
def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    """Remove them, and return how many were removed, and how many were left by a fault.

    Where the pool cannot be asked who they are, the invocation fails, and Lambda makes it again.
    """
    done = unconfirmed.remove(directory(), pool(), lambda: context.get_remaining_time_in_millis() > _ENOUGH)
    _metrics.add_metric("UnconfirmedLeft", MetricUnit.Count, done["left"])
    _logger.info("unconfirmed accounts removed", extra=done)
    return done
