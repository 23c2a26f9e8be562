"""The items of the partner sync's table. Their keys are made in `platform.tables`.

An experience's sheet is no model: its attributes are named by dates (`holdfast.partners.sheets`).
"""

from pynamodb.attributes import BooleanAttribute, ListAttribute, UnicodeAttribute

from holdfast.platform.items import IntegerAttribute, Item


class LimiterItem(Item):
    """The last 30 grants of requests to a partner, in ms, oldest first; some may still be to come (PROTOCOL.md 19).

    Until `closed_until` (ms) nothing is granted, and what was granted is not used. `written_by` tells who grants the
    own work from another's (PROTOCOL.md 8).
    """

    grants: ListAttribute[int] = ListAttribute(of=IntegerAttribute)  # type: ignore[arg-type]
    version = IntegerAttribute()
    closed_until = IntegerAttribute(null=True)
    written_by = UnicodeAttribute(null=True)


class SyncControlItem(Item):
    """Whether a tenant has paused its synchronisation, since when (ms), and who did."""

    is_paused = BooleanAttribute()
    changed_at = IntegerAttribute()
    changed_by = UnicodeAttribute()


class SyncRunItem(Item):
    """One run of a tenant's synchronisation: what set it off, and what became of its pairs.

    `kind` is today, week, month, manual or onboarding; `days` are those of a manual one. `planned` pairs are this run's
    own, `merged` ones were waiting for an earlier run already; from `planned_at` on both are final. Of its own,
    `fetched` were answered, `changed` of these with news, and each attempt that failed is counted in `failed`; a pair
    that is not wanted any more is `dropped`.
    """

    kind = UnicodeAttribute()
    days = IntegerAttribute(null=True)
    started_at = IntegerAttribute()
    planned_at = IntegerAttribute(null=True)
    last_at = IntegerAttribute(null=True)
    planned = IntegerAttribute(default=0)
    merged = IntegerAttribute(default=0)
    fetched = IntegerAttribute(default=0)
    changed = IntegerAttribute(default=0)
    failed = IntegerAttribute(default=0)
    dropped = IntegerAttribute(default=0)
    ttl = IntegerAttribute()


class SyncFailureItem(Item):
    """One attempt of a run that failed, or one slot that it could not take in, and why."""

    experience_id = UnicodeAttribute()
    date = UnicodeAttribute()
    slot_id = UnicodeAttribute(null=True)
    code = UnicodeAttribute()
    reason = UnicodeAttribute()
    at = IntegerAttribute()
    ttl = IntegerAttribute()
