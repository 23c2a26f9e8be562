"""A partner's slots in every way in which functions call AWS for them: taken on, synchronised, shown, sold, short."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from holdfast.partners.limiter import Pace
from holdfast.platform.tables import Keys, key_of
from tests.infrastructure.world import PAIRS, PARTNER, TENANT, World
from tests.partner.products import CURRENCY, SAMPLE_DAY

EXPERIENCES = "/api/v1/experiences"
SYNC = "/api/v1/sync"
EXPERIENCE = "14"
ADULT = "ADULT_12~99"
DAY = (datetime.now(UTC) + timedelta(days=3)).date()
"""A day that is to come in every time zone; the experience runs on its weekday alone."""
DATE = DAY.isoformat()

Line = dict[str, Any]


def put_slots_on_sale(world: World) -> Line:
    """Take an experience on and have a day of it synchronised; return the line of a cart that is about its slot."""
    in_our_currency = json.loads(json.dumps(SAMPLE_DAY[0]).replace(CURRENCY, "USD"))
    offered = [{**in_our_currency, "startDate": DATE}]
    world.partner.say(EXPERIENCE, DATE, offered)
    world.hurry(Pace(limit=1_000, spacing=1))
    body = {"id": EXPERIENCE, "name": "Island walk", "partner": PARTNER, "partner_product_id": EXPERIENCE}
    body |= {"weekdays": [DAY.isoweekday()]}
    world.request("experiences", "POST", EXPERIENCES, body, key="x1")
    world.request("experiences", "POST", EXPERIENCES, body, key="x1")
    world.request("experiences", "POST", EXPERIENCES, body, refused=True)
    _be_outrun(world, "sync_planner")
    world.invoke("sync_planner", {})
    for horizon in ("today", "week", "month"):
        world.invoke("sync_planner", {"horizon": horizon})
    _fetch(world)
    slot = offered[0]["providerSlotId"]
    return {"kind": "slot", "experience_id": EXPERIENCE, "date": DATE, "slot_id": slot, "pax": {ADULT: 1}}


def look_at_slots(world: World) -> None:
    """Show an experience, its days and its slots, in every format."""
    path = f"{EXPERIENCES}/{EXPERIENCE}"
    world.request("experiences", "GET", EXPERIENCES)
    world.request("experiences", "GET", path)
    assert world.request("experiences", "GET", f"{path}/slots", query={"date": DATE})["items"]
    older = f"/api/v1/experience/{EXPERIENCE}"
    assert world.request("experiences", "GET", f"{older}/slots", query={"date": DATE})
    assert world.request("experiences", "GET", f"{older}/dates")["dates"]


def steer_the_synchronisation(world: World, line: Line) -> None:
    """Begin runs, pause and resume, fall short, fail, and look at all of it."""
    _be_outrun(world, "sync")
    world.request("sync", "POST", SYNC, query={"days": "30"}, key="y0")
    world.request("sync", "POST", SYNC, query={"days": "5"}, key="y1")
    run = world.request("sync", "POST", SYNC, query={"days": "5"}, key="y1")["run_id"]
    world.request("sync", "POST", SYNC)
    _fetch(world)
    world.request("sync", "POST", f"{SYNC}/pause")
    world.request("sync", "GET", f"{SYNC}/status")
    world.request("sync", "POST", f"{SYNC}/resume")
    _ask_again(world)
    _fall_short(world, line)
    world.partner.misbehave("fail", times=1)
    _ask_again(world)
    world.request("sync", "GET", f"{SYNC}/runs")
    world.request("sync", "GET", f"{SYNC}/runs/{run}")


def take_slots_off_sale(world: World, line: Line) -> None:
    """Close all slots of an experience, and again where one of them has come to fall short meanwhile, or no longer."""
    for left in (-1, 1):
        _leave(line, left)
        world.request("experiences", "PATCH", f"{EXPERIENCES}/{EXPERIENCE}", {"enabled": False})


def _fall_short(world: World, line: Line) -> None:
    """Have the partner sell places that are held here, and give them back again."""
    held = {"items": [line | {"pax": {ADULT: 3}}], "user_id": "joan"}
    reservation = world.request("reservations", "POST", "/api/v1/reservations", held, key="y2")["id"]
    for remaining in (0, 150):
        world.partner.set_remaining(EXPERIENCE, DATE, line["slot_id"], remaining, {ADULT: remaining})
        _ask_again(world)
        shortages = world.request("sync", "GET", f"{SYNC}/shortages")["items"]
        assert bool(shortages) == (remaining == 0)
        world.request("reservations", "GET", f"/api/v1/reservations/{reservation}")
    world.request("reservations", "DELETE", f"/api/v1/reservations/{reservation}")
    for left in (-1, 1):
        _leave(line, left)
        _record(world)


def _be_outrun(world: World, folder: str) -> None:
    """Have another planner be faster than this function's, once."""
    sheets = world.folders[folder].planner().sheets
    want = sheets.want

    def outrun(*_: Any) -> bool:
        sheets.want = want
        return False

    sheets.want = outrun


def _ask_again(world: World) -> None:
    """Have the day fetched anew, as if its last answer were of long ago."""
    sheet = Keys(TENANT).sync_sheet(EXPERIENCE)
    boto3.client("dynamodb").update_item(
        TableName="sync",
        Key={"pk": {"S": sheet.pk}, "sk": {"S": sheet.sk}},
        UpdateExpression="REMOVE #synced",
        ExpressionAttributeNames={"#synced": f"synced#{DATE}"},
    )
    world.request("sync", "POST", SYNC, query={"days": "5"})
    _fetch(world)


def _fetch(world: World) -> None:
    """Have the fetcher work on everything that waits in the queue."""
    sqs, url = boto3.client("sqs"), world.queues[PAIRS]
    while waiting := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in waiting:
            record = {"messageId": message["MessageId"], "body": message["Body"]}
            record["attributes"] = {"ApproximateReceiveCount": "1"}
            assert world.invoke("sync_fetcher", {"Records": [record]}) == {"batchItemFailures": []}
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _leave(line: Line, places: int) -> None:
    """Have a slot on sale with so many places left, past all rules, and nobody told of it yet."""
    slot = Keys(TENANT).slot(EXPERIENCE, DATE, line["slot_id"])
    boto3.client("dynamodb").update_item(
        TableName="table",
        Key={"pk": {"S": slot.pk}, "sk": {"S": slot.sk}},
        UpdateExpression="SET available = :places, on_sale = :on_sale",
        ExpressionAttributeValues={":places": {"N": str(places)}, ":on_sale": {"BOOL": True}},
    )


def _record(world: World) -> None:
    """Tell the recorder of slots that are there, as if they were new."""
    when = {"SequenceNumber": "1", "ApproximateCreationDateTime": 1_772_359_200.0}
    items = boto3.client("dynamodb").scan(TableName="table")["Items"]
    slots = [item for item in items if key_of(item).pk.startswith(f"{TENANT}#SLOT#") and "starts_at" in item]
    records = [{"dynamodb": when | {"NewImage": slot}} for slot in slots]
    assert world.invoke("event_recorder", {"Records": records}) == {"batchItemFailures": []}
