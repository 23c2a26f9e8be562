"""The partner that everything is run against keeps its own rules, and misbehaves as it is told to."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import free_port
from tests.partner.arrivals import DROPPED, Arrival, Limit, most_in_window
from tests.partner.products import SAMPLE_DATE, SAMPLE_DAY
from tests.partner.server import KEY_VARIABLE, PartnerServer

MONDAY, SUNDAY = "2027-03-01", "2027-03-07"
TYPES_OF_14 = ["ADULT_12~99", "CHILD_5~15"]


@pytest.fixture
def partner() -> Iterator[PartnerServer]:
    """A partner that lets more through than any test here asks for."""
    with PartnerServer(limit=1_000) as running:
        yield running


def asked(partner: PartnerServer, product: str = "14", day: str = MONDAY, key: str | None = None) -> httpx.Response:
    """Ask once, with the partner's key unless another is given."""
    headers = {"x-api-key": partner.api_key if key is None else key}
    url = f"{partner.url}/api/v1/inventory/{product}"
    return httpx.get(url, params={"date": day}, headers=headers, timeout=5, trust_env=False)


def controlled(partner: PartnerServer, method: str, path: str, body: Any = None) -> Any:
    """Send something to the partner's control, and return what it answers."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = httpx.request(method, f"{partner.url}/control/{path}", content=content, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_sample_day_is_the_one_that_the_wire_format_shows(partner: PartnerServer) -> None:
    answer = asked(partner, "15", SAMPLE_DATE)
    assert answer.json() == SAMPLE_DAY
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-encoding"] == "gzip"
    prices = {pax["type"]: pax["price"] for pax in answer.json()[0]["paxAvailability"]}
    assert {name: (price["finalPrice"], price["originalPrice"]) for name, price in prices.items()} == {
        "ADULT_12~99": (341, 441),
        "CHILD_5~15": (137, 237),
        "INFANT_0~4": (0, 0),
    }


def test_the_seeded_products_run_on_their_weekdays_alone(partner: PartnerServer) -> None:
    monday = date.fromisoformat(MONDAY)
    days = [(monday + timedelta(days=number)).isoformat() for number in range(7)]
    assert [len(asked(partner, "14", day).json()) for day in days] == [4, 4, 4, 0, 0, 0, 0]
    assert [len(asked(partner, "15", day).json()) for day in days] == [0, 0, 0, 0, 0, 0, 1]
    slots = asked(partner, "14").json()
    assert [[pax["type"] for pax in slot["paxAvailability"]] for slot in slots] == [TYPES_OF_14] * 4
    assert len({slot["providerSlotId"] for slot in slots}) == 4


def test_what_is_asked_without_the_key_or_for_nothing_is_refused(partner: PartnerServer) -> None:
    assert asked(partner, key="another").status_code == 401
    assert httpx.get(f"{partner.url}/api/v1/inventory/14", trust_env=False).status_code == 401
    assert asked(partner, "16").status_code == 404
    assert asked(partner, day="2027-02-30").status_code == 400
    assert [arrival.status for arrival in partner.log] == [401, 401, 404, 400]


def test_of_450_generated_products_14_to_50_in_100_rest_on_each_weekday() -> None:
    partner = PartnerServer(products=450)
    made = [product for product in partner.products.values() if product.id not in ("14", "15")]
    assert len(made) == 450
    for weekday in range(1, 8):
        resting = sum(weekday not in product.weekdays for product in made)
        assert 14 * 450 <= 100 * resting <= 50 * 450, weekday
    assert all(product.weekdays for product in made)
    assert made == [product for product in PartnerServer(products=450).products.values() if product in made]


def test_inventory_changes_with_the_clock_and_is_the_same_for_the_same_time() -> None:
    now = 0
    first, second = (PartnerServer(products=20, seed=7, changes_every=60, clock=lambda: now) for _ in range(2))
    seen = []
    for moment in range(0, 600_000, 30_000):
        now = moment
        said = [first.inventory(str(1_000 + number), MONDAY) for number in range(20)]
        assert said == [second.inventory(str(1_000 + number), MONDAY) for number in range(20)]
        seen.append(json.dumps(said))
    assert seen[0::2] == seen[1::2]
    assert len(set(seen)) == 10
    other = PartnerServer(products=20, seed=8, changes_every=60, clock=lambda: now)
    assert [other.inventory(str(1_000 + number), MONDAY) for number in range(20)] != said


def test_at_most_30_are_let_through_in_a_window_and_the_others_are_told_when() -> None:
    now = 1_800_000_000_000
    with PartnerServer(clock=lambda: now) as partner:
        for step in range(35):
            now = 1_800_000_000_000 + step * 100
            answer = asked(partner)
            assert answer.status_code == (200 if step < 30 else 429)
        assert answer.json() == {"rateLimitState": {"reset": 1_800_000_060_000}}
        now = 1_800_000_059_999
        assert asked(partner).status_code == 429
        now = 1_800_000_060_000
        assert asked(partner).status_code == 200
        assert asked(partner).json() == {"rateLimitState": {"reset": 1_800_000_060_100}}
        assert [arrival.at for arrival in partner.log][-1] == now
        assert most_in_window(partner.log, 60) == 37


def test_the_limit_is_held_whenever_requests_come() -> None:
    limit, window = Limit(3, 1), 1_000
    times = [now for now in range(0, 10_000, 70) if limit.take(now) is None]
    assert most_in_window([Arrival(at, "14", MONDAY, 200) for at in times], 1) == 3
    assert len(times) >= 3 * (10_000 // (window + 140))


def test_the_fullest_window_is_found_wherever_it_begins() -> None:
    def most(*times: int) -> int:
        return most_in_window([Arrival(at, "14", MONDAY, 200) for at in times], 60)

    assert most() == 0
    assert most(5) == 1
    assert most(0, 60_000) == 1
    assert most(0, 59_999) == 2
    assert most(0, 50_000, 70_000, 80_000, 109_999, 110_000) == 4
    assert most(109_999, 80_000, 0, 70_000, 50_000) == 4


@pytest.mark.parametrize("status", [500, 502, 503])
def test_it_fails_so_many_times_for_one_product(partner: PartnerServer, status: int) -> None:
    partner.misbehave("fail", product="14", times=2, status=status)
    assert [asked(partner, product).status_code for product in ("15", "14", "14", "14")] == [200, status, status, 200]


def test_it_lies_until_it_is_told_not_to(partner: PartnerServer) -> None:
    partner.misbehave("bad_json")
    for _ in range(3):
        with pytest.raises(ValueError, match=r"delimiter|Expecting"):
            asked(partner).json()
    partner.behave()
    ordinary = asked(partner).json()
    partner.misbehave("negative", times=1)
    partner.misbehave("missing_fields", times=1)
    partner.misbehave("not_an_array", times=1)
    partner.misbehave("huge", times=1, megabytes=2)
    negative, missing, wrapped, huge = (asked(partner) for _ in range(4))
    assert negative.json()[0]["remaining"] == -1
    assert negative.json()[1:] == ordinary[1:]
    assert missing.json() == [{name: ordinary[0][name] for name in ordinary[0] if name != "remaining"}, *ordinary[1:]]
    assert wrapped.json() == {"slots": ordinary}
    assert len(huge.content) > 2_000_000
    assert asked(partner).json() == ordinary


@pytest.mark.parametrize(("kind", "logged"), [("drop", DROPPED), ("cut", 200)])
def test_it_drops_connections(partner: PartnerServer, kind: str, logged: int) -> None:
    partner.misbehave(kind, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        asked(partner)
    assert asked(partner).status_code == 200
    assert [arrival.status for arrival in partner.log] == [logged, 200]


def test_it_is_slow(partner: PartnerServer) -> None:
    partner.misbehave("slow", seconds=0.3, times=1)
    began = time.monotonic()
    assert asked(partner).status_code == 200
    assert time.monotonic() - began >= 0.3


def test_days_are_edited_and_forgotten_again(partner: PartnerServer) -> None:
    first, second, *others = (slot["providerSlotId"] for slot in asked(partner).json())
    partner.set_remaining("14", MONDAY, first, 7, {"CHILD_5~15": 3})
    partner.remove_slot("14", MONDAY, second)
    edited = asked(partner).json()
    assert [slot["providerSlotId"] for slot in edited] == [first, *others]
    assert edited[0]["remaining"] == 7
    assert [pax["remaining"] for pax in edited[0]["paxAvailability"]] == [150, 3]
    partner.say("14", MONDAY, b"\xff")
    assert asked(partner).content == b"\xff"
    partner.say_as_ever("14", MONDAY)
    assert len(asked(partner).json()) == 4
    partner.say("99", SUNDAY, [])
    assert asked(partner, "99", SUNDAY).json() == []


def test_all_of_this_can_be_told_over_http(partner: PartnerServer) -> None:
    assert len(controlled(partner, "POST", "products", {"generated": 5})["products"]) == 5
    assert len(controlled(partner, "GET", "products")["products"]) == 7
    controlled(partner, "POST", "faults", {"kind": "fail", "product": "1000", "times": 1})
    controlled(partner, "POST", "faults", {"kind": "drop"})
    assert asked(partner, "1000").status_code == 503
    controlled(partner, "DELETE", "faults")
    slot = asked(partner).json()[0]["providerSlotId"]
    controlled(partner, "POST", f"days/14/{MONDAY}/remaining", {"slot": slot, "remaining": 2})
    assert asked(partner).json()[0]["remaining"] == 2
    controlled(partner, "DELETE", f"days/14/{MONDAY}/slots/{slot}")
    assert len(asked(partner).json()) == 3
    controlled(partner, "PUT", f"days/14/{MONDAY}", b"[1,")
    assert asked(partner).content == b"[1,"
    controlled(partner, "DELETE", f"days/14/{MONDAY}")
    assert len(asked(partner).json()) == 4
    log = controlled(partner, "GET", "log")["arrivals"]
    assert [(each["product"], each["date"], each["status"]) for each in log] == [("1000", MONDAY, 503)] + [
        ("14", MONDAY, 200)
    ] * 5
    assert abs(log[0]["at"] - time.time() * 1000) < 60_000
    controlled(partner, "POST", "reset")
    assert controlled(partner, "GET", "log") == {"arrivals": []}
    assert len(controlled(partner, "GET", "products")["products"]) == 2
    refused = httpx.post(f"{partner.url}/control/faults", json={"kind": "unheard of"}, trust_env=False)
    assert refused.status_code == 400
    assert httpx.get(f"{partner.url}/control/nothing", trust_env=False).status_code == 404


def test_once_stopped_it_answers_not_even_those_who_stay_connected() -> None:
    partner = PartnerServer()
    partner.start()
    url, headers = f"{partner.url}/api/v1/inventory/14?date={MONDAY}", {"x-api-key": partner.api_key}
    with httpx.Client(trust_env=False, headers=headers) as client:
        assert client.get(url).status_code == 200
        partner.stop()
        with pytest.raises(httpx.TransportError):
            client.get(url)
        partner.start()
        assert client.get(url).status_code == 200
        assert len(partner.log) == 2
        partner.stop()


def test_it_runs_as_a_program_with_its_key_from_the_environment() -> None:
    port, key = free_port(), "made-up-for-this-test"
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.partner.server", "--port", str(port), "--products", "3", "--limit", "2"],
        cwd=Path(__file__).parents[2],
        env={KEY_VARIABLE: key},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        said = program.stdout.readline()
        assert f"http://127.0.0.1:{port}" in said
        assert key not in said
        url = f"http://127.0.0.1:{port}/api/v1/inventory/1000"
        statuses = [
            httpx.get(url, params={"date": MONDAY}, headers={"x-api-key": key}, trust_env=False).status_code
            for _ in range(3)
        ]
        assert statuses == [200, 200, 429]
    finally:
        program.terminate()
        program.wait(timeout=10)
