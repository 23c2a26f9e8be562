"""Streams, queues and schedules: nothing that fails for good is lost without a trace."""

import json
from collections.abc import Callable
from typing import Any

from holdfast.checkout.history import MARKETPLACE
from holdfast.platform import items, order_items
from holdfast.platform.items import Item

Properties = dict[str, dict[str, Any]]
OfType = Callable[[str], Properties]


def resource_of(arn: dict[str, Any]) -> str:
    name, attribute = arn["Fn::GetAtt"]
    assert attribute == "Arn"
    return str(name)


def test_every_stream_consumer_has_bounds_and_a_dead_letter_target(of_type: OfType) -> None:
    queues = of_type("AWS::SQS::Queue")
    mappings = of_type("AWS::Lambda::EventSourceMapping")
    streams = [mapping for mapping in mappings.values() if mapping["EventSourceArn"]["Fn::GetAtt"][1] == "StreamArn"]
    assert streams
    for mapping in streams:
        assert resource_of(mapping["DestinationConfig"]["OnFailure"]["Destination"]) in queues
        assert mapping["BisectBatchOnFunctionError"] is True
        assert 1 <= mapping["MaximumRetryAttempts"] <= 100
        assert 60 <= mapping["MaximumRecordAgeInSeconds"] <= 86400
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_scheduler_sees_only_what_falls_due(of_type: OfType) -> None:
    mapping = of_type("AWS::Lambda::EventSourceMapping")["ExpirySchedulerFunctionTableStream"]
    (only,) = mapping["FilterCriteria"]["Filters"]
    assert json.loads(only["Pattern"]) == {"dynamodb": {"NewImage": {"due": {"N": [{"exists": True}]}}}}


def _recorded(of_type: OfType) -> list[dict[str, Any]]:
    """Return what the recorder asks of the new images of what it sees."""
    mapping = of_type("AWS::Lambda::EventSourceMapping")["EventRecorderFunctionTableStream"]
    return [json.loads(wanted["Pattern"])["dynamodb"]["NewImage"] for wanted in mapping["FilterCriteria"]["Filters"]]


def test_history_is_of_orders_charges_and_the_reservations_that_are_orders(of_type: OfType) -> None:
    patterns = [pattern for pattern in _recorded(of_type) if "sk" in pattern]
    assert [pattern["sk"]["S"] for pattern in patterns] == [[{"prefix": kind}] for kind in ("O#", "C#", "R#")]
    assert [pattern.get("source") for pattern in patterns] == [None, None, {"S": [MARKETPLACE]}]


def test_the_recorder_sees_slots_of_partners_by_what_no_other_item_has(of_type: OfType) -> None:
    (pattern,) = [pattern for pattern in _recorded(of_type) if "sk" not in pattern]
    assert pattern == {"starts_at": {"N": [{"exists": True}]}}
    models = (model for module in (items, order_items) for model in vars(module).values() if isinstance(model, type))
    having = {model for model in models if issubclass(model, Item) and "starts_at" in model.get_attributes()}
    assert having == {items.SlotItem}


def test_no_consumer_has_more_filters_than_lambda_takes(of_type: OfType) -> None:
    for mapping in of_type("AWS::Lambda::EventSourceMapping").values():
        assert len(mapping.get("FilterCriteria", {}).get("Filters", ())) <= 5


def test_a_stream_has_no_more_consumers_than_its_shards_serve_at_once(of_type: OfType) -> None:
    """AWS advises against more than two readers of one shard."""
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    assert len([mapping for mapping in mappings if mapping["EventSourceArn"]["Fn::GetAtt"][1] == "StreamArn"]) == 2


def test_every_queue_consumer_has_a_dead_letter_queue_and_reports_single_failures(of_type: OfType) -> None:
    queues = of_type("AWS::SQS::Queue")
    mappings = of_type("AWS::Lambda::EventSourceMapping")
    consumed = [mapping for mapping in mappings.values() if mapping["EventSourceArn"]["Fn::GetAtt"][0] in queues]
    assert consumed
    for mapping in consumed:
        redrive = queues[resource_of(mapping["EventSourceArn"])]["RedrivePolicy"]
        assert resource_of(redrive["deadLetterTargetArn"]) in queues
        assert redrive["maxReceiveCount"] >= 2
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_every_schedule_has_a_retry_bound_and_a_dead_letter_queue(of_type: OfType) -> None:
    queues = of_type("AWS::SQS::Queue")
    for schedule in of_type("AWS::Scheduler::Schedule").values():
        assert resource_of(schedule["Target"]["DeadLetterConfig"]["Arn"]) in queues
        assert "MaximumRetryAttempts" in schedule["Target"]["RetryPolicy"]


def test_whatever_a_schedule_calls_has_an_alarm_on_its_failures(of_type: OfType) -> None:
    """Nobody waits for its answer."""
    called = {resource_of(schedule["Target"]["Arn"]) for schedule in of_type("AWS::Scheduler::Schedule").values()}
    watched = {
        dimension["Value"]["Ref"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", ())
        if dimension["Name"] == "FunctionName" and alarm["MetricName"] == "Errors"
    }
    assert called
    assert called <= watched


def test_dead_letters_are_kept_as_long_as_sqs_can_and_raise_an_alarm(of_type: OfType) -> None:
    queues = of_type("AWS::SQS::Queue")
    consumed = {
        mapping["EventSourceArn"]["Fn::GetAtt"][0] for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
    }
    watched = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", ())
        if dimension["Name"] == "QueueName" and alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    dead = set(queues) - consumed
    assert dead
    assert dead == watched
    for name in dead:
        assert queues[name]["MessageRetentionPeriod"] == 1209600


def test_consumers_may_do_what_their_sources_ask(production: dict[str, Any]) -> None:
    def allowed(role: str) -> set[str]:
        (policy,) = production["Resources"][role]["Properties"]["Policies"]
        return {action for statement in policy["PolicyDocument"]["Statement"] for action in statement["Action"]}

    reading_a_queue = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    reading_a_stream = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
    assert reading_a_queue <= allowed("ExpiryFunctionRole")
    for role in ("ExpirySchedulerFunctionRole", "EventRecorderFunctionRole"):
        assert reading_a_stream | {"sqs:SendMessage"} <= allowed(role)
