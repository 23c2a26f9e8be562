"""Metrics that alarms are on, written as lines of the log, which cost no request."""

import os

_NAMESPACE = "POWERTOOLS_METRICS_NAMESPACE"


def count(name: str, amount: int) -> None:
    """Say that something that is counted happened so many times; nothing is said of what did not."""
    if amount:
        from aws_lambda_powertools.metrics import MetricUnit, single_metric

        with single_metric(name, MetricUnit.Count, amount, namespace=os.environ.get(_NAMESPACE, "Holdfast")):
            pass
