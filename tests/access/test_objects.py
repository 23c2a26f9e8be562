"""Every id that any route takes: what is another tenant's, or another user's, looks like what does not exist."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.platform.access import ROUTES
from tests.access.routes import FURTHER, NOWHERE, OF_NOBODY, ROWS, Row
from tests.access.world import RIVAL, TENANT, World
from tests.handlers.gateway import Answer

VISIBLE = {"PUT /api/tickets/{ticket}"}
"""Where the thing itself is everybody's to see, and not their own to change: 403, as older clients know it."""

KINDS = [*ROWS, *FURTHER]


def _name(row: Row) -> str:
    return f"{row.name} {json.dumps(row.body)[:60]}" if row in FURTHER else row.name


def test_every_id_in_every_address_is_among_those_that_are_tried() -> None:
    tried = {
        (row.method, _shape(row.path)) for row in [*OF_NOBODY, *(row for row in ROWS if row.of_tenant or row.of_user)]
    }
    for address, methods in ROUTES.items():
        if "{" not in address or "tenants" in address:
            continue
        for method in methods:
            assert (method, _shape(address)) in tried, f"{method} {address}"


@pytest.mark.parametrize("row", OF_NOBODY, ids=lambda row: row.name)
def test_what_public_routes_name_is_their_tenants_alone(put_back: World, row: Row) -> None:
    before = put_back.things()
    for name in row.ids:
        there, nowhere = (
            put_back.ask(row.request(put_back, **ids).of(RIVAL), None) for ids in ({}, {name: NOWHERE[name]})
        )
        assert _told(there, row.known(put_back)) == _told(nowhere, row.known(put_back)), name
        assert there.status in (202, 400, 401, 404), there.text
    assert put_back.things() == before


def _shape(path: str) -> str:
    """Return an address without what stands in it for one thing or another."""
    return re.sub(rf"\{{[^}}]+\}}|(?<=/){RIVAL}(?=/|$)|(?<=webhooks/)sandbox", "{}", path.partition("?")[0])


@pytest.mark.parametrize("who", ["ruth", "key"])
@pytest.mark.parametrize("row", [row for row in KINDS if row.of_tenant], ids=_name)
def test_another_tenants_ids_look_like_ids_that_do_not_exist(put_back: World, row: Row, who: str) -> None:
    _looks_like_nothing(put_back, row, f"{RIVAL}/{who}")


@pytest.mark.parametrize("row", [row for row in KINDS if row.of_user], ids=_name)
def test_another_users_ids_look_like_ids_that_do_not_exist(put_back: World, row: Row) -> None:
    if row.name in VISIBLE:
        answer = put_back.ask_as(row.request(put_back), f"{TENANT}/bob")
        assert (answer.status, answer.code) == (403, "forbidden")
        return
    _looks_like_nothing(put_back, row, f"{TENANT}/bob")


def _looks_like_nothing(world: World, row: Row, who: str) -> None:
    """See that each id is answered as one that nothing has, and that nothing is changed by asking."""
    before = world.aws.dump()
    assert row.ids, "the request names nothing"
    for name in row.ids:
        there = world.ask_as(row.request(world), who)
        nowhere = world.ask_as(row.request(world, **{name: NOWHERE[name]}), who)
        assert there.status in (400, 403, 404, 409), (name, there.text)
        assert _told(there, row.known(world)) == _told(nowhere, row.known(world)), name
    assert world.aws.dump() == before


def _told(answer: Answer, known: Mapping[str, str]) -> tuple[int, Any]:
    """Return what an answer tells but for the ids that the client itself sent, and the id of the request."""
    sent = {value: NOWHERE[name] for name, value in known.items()}
    told = _put_for(answer.json, sent)
    told.pop("request_id", None)
    return answer.status, told


def _put_for(value: Any, other: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _put_for(inner, other) for name, inner in value.items()}
    if isinstance(value, list):
        return [_put_for(inner, other) for inner in value]
    return other.get(value, value) if isinstance(value, str) else value
