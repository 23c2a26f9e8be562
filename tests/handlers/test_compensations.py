"""What workflows left to people, sent round again: taken up once a message, by what the items say by then."""

import json
from typing import Any

import pytest

from tests.handlers.account import Aws
from tests.handlers.gateway import Api, LambdaContext, load
from tests.handlers.stream import queued
from tests.handlers.test_orders import bought, checked_out, held, product_line, read, refunded
from tests.workflow import Machines


def take_up(*bodies: str) -> list[str]:
    """Hand messages to the function; return the ids of those that are to come again."""
    answer = load("compensations").handler(queued(*bodies), LambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture(name="product")
def _product(api: Api) -> str:
    return api.new_product(5, price="9.99")


@pytest.fixture(name="left")
def _left(api: Api, product: str, machines: Machines) -> dict[str, Any]:
    """An order that was paid for and could not be closed, so that its run is left to people."""
    machines.fail("CompleteOrder")
    order: dict[str, Any] = checked_out(api, held(api, product_line(product, 2)))
    assert order["status"] == "pending"
    machines.mend("CompleteOrder")
    return order


def test_what_was_sold_and_paid_is_finished(api: Api, product: str, left: Any, machines: Machines) -> None:
    (letter,) = machines.letters
    assert take_up(json.dumps(letter)) == []
    assert read(api, left)["status"] == "completed"
    assert api.units(product) == (5, 3, 0, 2)


def test_a_message_that_comes_twice_starts_one_run(api: Api, left: Any, machines: Machines) -> None:
    (letter,) = machines.letters
    assert take_up(json.dumps(letter)) == []
    runs = len(machines.runs)
    assert take_up(json.dumps(letter)) == []
    assert len(machines.runs) == runs


def test_what_was_finished_meanwhile_stays_as_it_is(api: Api, left: Any, machines: Machines, aws: Aws) -> None:
    (letter,) = machines.letters
    assert take_up(json.dumps(letter)) == []
    before = aws.dump()
    assert take_up("not a message", json.dumps(letter)) == ["m0"]
    assert aws.dump() == before


def test_money_that_was_taken_after_all_finishes_the_sale(api: Api, product: str, machines: Machines) -> None:
    machines.fail("CapturePayment", after_effect=True)
    machines.fail("VoidPayment")
    order = checked_out(api, held(api, product_line(product, 2)))
    assert order["status"] == "pending"
    assert api.units(product) == (5, 3, 0, 2), "of unknown money nothing is given back"
    machines.mend("VoidPayment")
    (letter,) = machines.letters
    assert take_up(json.dumps(letter)) == []
    found = read(api, order)
    assert (found["status"], found["captured_minor"], found["refunded_minor"]) == ("completed", 1998, 0)
    assert api.units(product) == (5, 3, 0, 2)


def test_a_refund_that_could_not_be_finished_is_finished(api: Api, product: str, machines: Machines) -> None:
    order = bought(api, product_line(product, 2))
    machines.fail("GiveBackClaims")
    refunded(api, order)
    assert api.units(product) == (5, 3, 0, 2)
    machines.mend("GiveBackClaims")
    (letter,) = machines.letters
    assert letter["machine"] == "refund"
    assert take_up(json.dumps(letter)) == []
    assert read(api, order)["status"] == "refunded"
    assert api.units(product) == (5, 5, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "17",
        '"text"',
        "{}",
        '{"machine": "checkout"}',
        '{"machine": "another", "run": {"order": {"pk": "a", "sk": "O#1"}, "attempt": 1}}',
        '{"machine": "checkout", "run": {"order": "o-1", "attempt": 1}}',
        '{"machine": "checkout", "run": {"order": {"pk": "t#U#x", "sk": "O#1"}}}',
        '{"machine": "checkout", "run": {"order": {"pk": "t#U#x", "sk": "O#1"}, "attempt": 1}}',
        '{"machine": "checkout", "run": {"order": {"pk": 17, "sk": null}, "attempt": 1}}',
        '{"machine": "refund", "run": {"order": {"pk": "t#U#x", "sk": "O#1"}}}',
        "[" * 100_000,
    ],
)
def test_a_message_that_is_none_fails_alone(api: Api, left: Any, machines: Machines, body: str) -> None:
    assert take_up(body, json.dumps(machines.letters[0])) == ["m0"]
    assert read(api, left)["status"] == "completed"


def test_an_empty_batch_is_no_fault() -> None:
    assert take_up() == []
