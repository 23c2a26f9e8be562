"""Limits a minute and patience against plain models of them, over clocks that move, jump, and go round (rule 26)."""

import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast.claims import lapses
from holdfast.platform.dynamodb import Cancelled, Store
from holdfast.platform.items import ReservationItem
from holdfast.platform.policy import PatiencePolicy, Policy
from holdfast.platform.tables import Key, Keys
from holdfast.reservations import ending
from holdfast.reservations.pace import CHECKOUTS, RESERVES, Pace
from tests.engine.expiring import handle
from tests.engine.shop import START, ListQueue, ManualClock, Shop

SECOND, MINUTE = 1_000, 60_000
_EXPLORE = int(os.environ.get("HOLDFAST_EXPLORE", "0"))
_tenants = count()


def exploring(examples: int) -> settings:
    """Return settings that try the same examples each time, unless HOLDFAST_EXPLORE says how many others to try."""
    return settings(
        max_examples=_EXPLORE or examples,
        derandomize=not _EXPLORE,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if _EXPLORE else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


AWAY = st.sampled_from([0, 1, SECOND, MINUTE - 1, MINUTE, 2 * MINUTE]) | st.builds(
    lambda minutes, more: minutes * MINUTE + more,
    st.sampled_from([13, 14, 15, 16, 17, 18, 31, 32, 33, 160, 16 * 24 * 60]),
    st.sampled_from([0, 1, SECOND, MINUTE - 1]),
)
"""Milliseconds from one request to the next, many of them about 16 minutes: then attributes take the same turn."""

LATE = st.sampled_from([0, 0, 0, 1, SECOND, MINUTE])
"""Milliseconds by which a clock is behind, or a write is late: it counts in the minute that it was made in."""

ASKED = st.tuples(AWAY, LATE, st.sampled_from([RESERVES, RESERVES, CHECKOUTS]))


def asks(store: Store, limits: Key, what: str, limit: int, now: int) -> bool:
    """Do what a reserve does to its user's item; return whether it is let through."""
    pace = Pace(limits, what, limit)
    for _ in range(2):
        [change] = pace.changes(now)
        try:
            store.write(change.write())
        except Cancelled as refusal:
            [reason] = refusal.reasons
            assert reason is not None
            if pace.learn(reason.item or {}, now) is not None:
                return False
        else:
            return True
    raise AssertionError("a second attempt knows all")


@exploring(120)
@given(asked=st.lists(ASKED, min_size=8, max_size=40), limit=st.integers(1, 4))
def test_rule_26_a_limit_lets_through_what_a_list_of_moments_lets_through(
    store: Store, asked: list[tuple[int, int, str]], limit: int
) -> None:
    """As many as the limit in each minute, of each kind; never one more, and never one less."""
    limits = Keys(f"t{next(_tenants)}").limits("ann")
    now, made = START, Counter[tuple[str, int]]()
    for away, late, what in asked:
        now += away
        moment = now - late
        is_let = asks(store, limits, what, limit, moment)
        assert is_let == (made[what, moment // MINUTE] < limit), (what, moment)
        made[what, moment // MINUTE] += is_let
    item = store.get_raw(limits) or {}
    assert len(item) <= 2 + 2 * 3, "no more than three minutes of each are kept"


@dataclass
class Model:
    """A user as a tenant with patience knows them: the moments of the lapses that count."""

    patience: PatiencePolicy
    held: list[ReservationItem] = field(default_factory=list)
    lapsed: list[int] = field(default_factory=list)

    def length(self, seconds: int, now: int) -> int:
        """Return for how long a hold of so many seconds lasts that is made now; forget what is long ago."""
        if self.lapsed and self.lapsed[-1] < now - self.patience.forget_seconds * SECOND:
            self.lapsed = []
        for _ in range(len(self.lapsed) - self.patience.after + 1):
            seconds = max(seconds // 2, min(seconds, self.patience.shortest_seconds))
        return seconds


STEPS = st.tuples(
    st.sampled_from(["hold", "hold", "hold", "lapse", "lapse", "lapse", "buy", "let go", "wait"]),
    st.integers(0, 9),
    st.sampled_from([30, 100, 600, 3_000]),
)


@pytest.mark.slow
@exploring(60)
@given(
    steps=st.lists(STEPS, min_size=20, max_size=30),
    after=st.integers(1, 4),
    shortest=st.sampled_from([1, 60, 250]),
    forget=st.sampled_from([60, 700, 86_400]),
)
def test_rule_26_patience_is_as_a_list_of_lapses_has_it(
    store: Store, steps: list[tuple[str, int, int]], after: int, shortest: int, forget: int
) -> None:
    """Holds are as long as the lapses before them let them be, whatever was bought, let go and forgotten between."""
    shop = Shop(store, ManualClock(), f"t{next(_tenants)}")
    shop.policy = Policy(patience=PatiencePolicy(after, shortest, forget))
    assert shop.policy.patience is not None
    product = shop.product(units=100)
    model = Model(shop.policy.patience)
    for step, which, seconds in steps:
        now = shop.clock.now()
        model.held = [held for held in model.held if held.expires_at > now]
        if step == "hold":
            expected = model.length(seconds, now)
            held = shop.hold("ann", {product: 1}, seconds=seconds)
            assert held.expires_at - now == expected * SECOND
            model.held.append(held)
        elif step == "wait":
            shop.clock.forward(which * 100 * SECOND)
            lapse_all(shop, model)
        elif model.held:
            held = model.held.pop(which % len(model.held))
            if step == "buy":
                ending.confirm(shop.engine, held.key)
                model.lapsed = []
            elif step == "let go":
                ending.cancel(shop.engine, held.key)
            else:
                shop.clock.forward(held.expires_at - now)
                model.held.append(held)
                lapse_all(shop, model)
        known, last = lapses.lapses(store.get_raw(shop.keys.limits("ann")) or {})
        assert (known, last) == (len(model.lapsed), model.lapsed[-1] if model.lapsed else None)
    shop.audit()


def lapse_all(shop: Shop, model: Model) -> None:
    """Let the expiry of everything come whose time is over."""
    over = [held for held in model.held if held.expires_at <= shop.clock.now()]
    assert handle(shop.engine, ListQueue(), [shop.message(held) for held in over]) == set()
    model.lapsed += [shop.clock.now()] * len(over)
