"""Properties of the pure rules: drawing, netting, splitting, merging, money, ids."""

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from holdfast.claims import slot
from holdfast.claims.changes import CounterChange, netted
from holdfast.claims.pool import Shard, Terms, spread
from holdfast.platform.dynamodb import Put
from holdfast.platform.items import LineMap, ReservationItem
from holdfast.platform.money import MOST_MINOR, from_minor, to_minor
from holdfast.platform.tables import Key, Keys, public_id
from holdfast.reservations import splitting
from holdfast.reservations.engine import LineRequest, merged

KEYS = Keys("demo")
TERMS = st.sampled_from([Terms(1, 5, "USD", True, None), Terms(2, 6, "USD", True, None), Terms(3, 7, "EUR", True, 2)])
SHARDS = st.lists(st.tuples(st.integers(0, 9), TERMS), max_size=8)
STEPS = [slot.confirm, slot.buy, slot.release, slot.take_back]
MOVED = ["available", "held", "sold", "returned"]
PAX_TERMS = partial(
    slot.PaxTerms, description="", minimum=1, maximum=2, is_primary=True, final_minor=1, original_minor=2, on_sale=False
)
LINES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=5)


@given(SHARDS, st.integers(1, 40))
def test_spread_draws_exactly_what_is_asked_from_what_is_there(found: list[tuple[int, Terms]], quantity: int) -> None:
    """Never more of a shard than it has, all on the same terms, as few shards as can be; None only if none can."""
    shards = [Shard(number, available, 0, terms) for number, (available, terms) in enumerate(found)]
    sums: Counter[Terms] = Counter()
    for shard in shards:
        sums[shard.terms] += shard.available
    drawn = spread(quantity, shards)
    if drawn is None:
        assert all(total < quantity for total in sums.values())
        return
    terms, units = drawn
    assert sum(units.values()) == quantity
    assert all(0 < here <= shards[number].available for number, here in units.items())
    assert {shards[number].terms for number in units} == {terms}
    assert not any(total >= quantity and other.revision > terms.revision for other, total in sums.items())
    richest = sorted((shard.available for shard in shards if shard.terms == terms), reverse=True)
    assert sum(richest[: len(units) - 1]) < quantity


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ahs"), st.integers(-5, 5)), max_size=12))
def test_netting_keeps_every_sum_and_names_no_item_twice(changes: list[tuple[int, str, int]]) -> None:
    """The same is added to every counter of every item, whatever the order, in at most one change each."""
    wanted: Counter[tuple[Key, str]] = Counter()
    made = []
    for item, counter, amount in changes:
        key = KEYS.pool_shard("p", item)
        wanted[key, counter] += amount
        made.append(CounterChange(key, {counter: amount}))
    found = netted(made)
    assert len({change.key for change in found}) == len(found)
    added = {(change.key, name): amount for change in found for name, amount in change.add.items() if amount}
    assert added == {place: amount for place, amount in wanted.items() if amount}


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=9))
def test_rule_18_whatever_is_done_with_places_the_sums_stand(
    steps: list[tuple[Callable[[Key, str, int], CounterChange], str, int]],
) -> None:
    """Places go from one counter of their type to another, those of the slot with them; the partner's stay."""
    (change,) = netted(
        step(KEYS.slot("14", "2025-03-23", "ab12"), pax_type, places) for step, pax_type, places in steps
    )
    types = {pax_type for _, pax_type, _ in steps}
    assert change.add.keys() <= set(MOVED) | {f"{name}#{pax_type}" for name in MOVED for pax_type in types}
    for name in MOVED:
        assert change.add.get(name, 0) == sum(change.add.get(f"{name}#{pax_type}", 0) for pax_type in types)
    for end in ("", *(f"#{pax_type}" for pax_type in types)):
        assert sum(change.add.get(f"{name}{end}", 0) for name in MOVED[:3]) == 0
        assert all(change.add.get(f"{name}{end}", 0) >= 0 or f"{name}{end}" in change.floored for name in MOVED)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1))
def test_rule_18_all_pax_types_are_taken_at_once_or_none(pax: dict[str, int]) -> None:
    """A hold is one change, which holds what each type's own change would."""
    key = KEYS.slot("14", "2025-03-23", "ab12")
    change = slot.acquire(key, pax, 3)
    assert change.equal == {"revision": 3}
    given_back = [slot.release(key, pax_type, places) for pax_type, places in pax.items()]
    assert netted([change, *given_back]) == []


@given(st.lists(st.builds(PAX_TERMS, type=st.text(max_size=5), name=st.text(max_size=5)), max_size=4))
def test_terms_of_pax_types_are_read_as_they_are_written(pax: list[slot.PaxTerms]) -> None:
    """Whatever a partner calls its types."""
    assert [slot.PaxTerms(*terms) for terms in json.loads(slot.pax_text(tuple(pax)))] == pax


@given(LINES, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_part_and_rest_are_the_whole(lines: list[tuple[int, int]], cuts: list[int], data: st.DataObject) -> None:
    """Units, prices and shards: what a split takes and what it leaves are together what was held."""
    total = sum(units for units, _ in lines)
    shards, left = {}, total
    for number, cut in enumerate(cuts):
        here = min(cut, left) if number < len(cuts) - 1 else left
        left -= here
        if here:
            shards[f"product.1#{number:02d}"] = here
    parent = ReservationItem(
        *KEYS.deal_hold("ann", "1"),
        user_id="ann",
        status="held",
        v=7,
        life=5,
        lines=[
            LineMap(
                kind="product", product_id="1", quantity=units, unit_price_minor=price, currency="USD", counted=True
            )
            for units, price in lines
        ],
        allocation=shards,
        created_at=1,
        expires_at=9,
        first_expires_at=9,
    )
    quantity = data.draw(st.integers(1, total))
    parts = [splitting.oldest(parent, quantity)]
    part = splitting.child_of(parts, KEYS.reservation("ann", "checkout", "k"), "deals")
    written, _ = splitting.splitting(parts, part, now=2)
    assert isinstance(written, Put)
    smaller = written.item
    assert isinstance(smaller, ReservationItem)
    assert sum(line.quantity for line in part.lines) == sum(part.allocated().values()) == quantity
    assert Counter(part.allocated()) + Counter(smaller.allocated()) == Counter(shards)
    assert smaller.v == 8
    assert (smaller.status, smaller.ttl is None) == (("held", True) if quantity < total else ("confirmed", False))
    if quantity < total:
        assert _prices(part) + _prices(smaller) == _prices(parent)
    else:
        assert _prices(part) == _prices(smaller) == _prices(parent)
        assert smaller.allocated() == {}
    oldest = [price for units, price in lines for _ in range(units)][:quantity]
    assert _prices(part) == Counter(oldest)


def _line(units: int, price: int) -> LineMap:
    return LineMap(kind="product", product_id="1", quantity=units, unit_price_minor=price, currency="USD", counted=True)


def _prices(record: ReservationItem) -> Counter[int]:
    found: Counter[int] = Counter()
    for line in record.lines:
        found[line.unit_price_minor] += line.quantity
    return found


@given(st.lists(st.tuples(st.sampled_from("123"), st.integers(1, 9)), max_size=9))
def test_merging_keeps_every_quantity(lines: list[tuple[str, int]]) -> None:
    """One line a product, and all units."""
    wanted: Counter[str] = Counter()
    for product, units in lines:
        wanted[product] += units
    found = merged(
        [
            LineRequest("product", f"items.{place}", units, product_id=product)
            for place, (product, units) in enumerate(lines)
        ]
    )
    assert {line.product_id: line.quantity for line in found} == wanted
    assert len(found) == len(wanted)


@given(st.integers(0, MOST_MINOR), st.sampled_from(["USD", "EUR", "JPY", "KWD", "INR"]))
def test_money_goes_both_ways_unchanged(minor: int, currency: str) -> None:
    """Minor units to decimals and back are the same, exactly; and as a JSON number's text too."""
    decimal = from_minor(minor, currency)
    assert to_minor(decimal, currency) == minor
    assert Decimal(repr(float(decimal))) == decimal


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from(["USD", "JPY", "KWD"]))
def test_no_amount_is_ever_rounded(amount: Decimal, currency: str) -> None:
    """An amount is exact in minor units, or refused."""
    try:
        minor = to_minor(amount, currency)
    except ValueError:
        return
    assert from_minor(minor, currency) == amount
    assert 0 <= minor <= MOST_MINOR


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.integers(0, 2**47))
def test_ids_lead_back_to_their_items(user: str, route: str, key: str, life: int) -> None:
    """For any user, route and key: they are only hashed."""
    held = KEYS.reservation(user, route, key)
    assert KEYS.by_public_id(public_id(held, None)) == (held, None)
    deal = KEYS.deal_hold(user, "1")
    assert KEYS.by_public_id(public_id(deal, life)) == (deal, life)
