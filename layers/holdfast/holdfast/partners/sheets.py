"""Sheets: what is known of the synchronisation of each experience, one item each, its attributes named by dates.

Of a pair, `synced` is when the partner was asked whose answer is kept, `wanted` the run that wants a newer one, and
`queued` the stamp of its current message, `taken` how often that was received when somebody last went to work on it. A
pair is wanted until it is answered, or no longer to be asked for; it may be queued, or not: nothing but `wanted` can be
lost for good, and that stands here alone (PROTOCOL.md 20). While it is wanted, `hurried` is when a manual run found it
wanted already, `failed` how often in a row its date failed, and `tried` when it last did. `writer` tells who queued it
or took it last the own work from another's (PROTOCOL.md 8).

Each write is one conditional update, or one transaction with the counts of the run. They raise Busy where others were
faster every time, and Unavailable where the store does not answer; all can be repeated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from secrets import token_hex
from types import MappingProxyType

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from holdfast.partners.pairs import Pair
from holdfast.partners.port import Rejected
from holdfast.platform.clock import Clock
from holdfast.platform.dynamodb import Cancelled, Contended, Put, RawItem, Store, Update, Write
from holdfast.platform.errors import Busy
from holdfast.platform.queues import SyncMessage
from holdfast.platform.retries import Retries
from holdfast.platform.sync_items import SyncFailureItem, SyncRunItem
from holdfast.platform.tables import Key, Keys

KEPT_SECONDS = 60 * 86_400
"""How long runs and their failures are kept: longer than any pair can wait, which is until its date is past."""

MOST_REJECTED = 20
"""Slots of one answer that could not be taken in and are reported: a partner that changed its format rejects all."""

PLANNED_AT_ONCE = 25
"""Sheets that one transaction plans."""

_SYNCED, _WANTED, _QUEUED, _TAKEN, _WRITER = "synced", "wanted", "queued", "taken", "writer"
_HURRIED, _FAILED, _TRIED = "hurried", "failed", "tried"
_OF_PAIRS = (_SYNCED, _WANTED, _QUEUED, _TAKEN, _WRITER, _HURRIED, _FAILED, _TRIED)
_FAILURES, _NOT_BEFORE, _PLAN_VERSION = "failures", "not_before", "plan_version"
_REJECTED = "slot_rejected"


@dataclass(frozen=True)
class Sheet:
    """What is known of one experience, by dates (YYYY-MM-DD); times are ms.

    `failures` are those of the product in a row, and until `not_before` the partner is not asked for it. Every planning
    raises `plan_version`.
    """

    tenant: str
    experience_id: str
    synced: Mapping[str, int] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    queued: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)
    hurried: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    tried: Mapping[str, int] = field(default_factory=dict)
    failures: int = 0
    not_before: int = 0
    plan_version: int = 0

    @property
    def key(self) -> Key:
        """Return the key of the sheet's item."""
        return Keys(self.tenant).sync_sheet(self.experience_id)

    @property
    def dates(self) -> set[str]:
        """Return the dates of which anything is known."""
        return {*self.synced, *self.wanted, *self.queued, *self.taken, *self.hurried, *self.failed, *self.tried}


def read_sheet(raw: RawItem) -> Sheet:
    """Return the sheet that a raw item says."""
    tenant, _, _ = raw["pk"]["S"].partition("#")
    by_name: dict[str, dict[str, str]] = {name: {} for name in _OF_PAIRS}
    for attribute, value in raw.items():
        name, is_of_pair, date = attribute.partition("#")
        if is_of_pair and name in by_name:
            by_name[name][date] = value.get("N") or value["S"]
    return Sheet(
        tenant=tenant,
        experience_id=raw["sk"]["S"],
        synced=_numbers(by_name[_SYNCED]),
        wanted=by_name[_WANTED],
        queued=_numbers(by_name[_QUEUED]),
        taken=_numbers(by_name[_TAKEN]),
        hurried=_numbers(by_name[_HURRIED]),
        failed=_numbers(by_name[_FAILED]),
        tried=_numbers(by_name[_TRIED]),
        failures=_number(raw, _FAILURES),
        not_before=_number(raw, _NOT_BEFORE),
        plan_version=_number(raw, _PLAN_VERSION),
    )


class Sheets:
    """The sheets of all tenants, in the synchronisation's table."""

    def __init__(self, store: Store, clock: Clock, retries: Retries) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries

    def of(self, tenant: str) -> dict[str, Sheet]:
        """Return all sheets of a tenant by their experiences' ids, each read consistently."""
        sheets = map(read_sheet, self._store.query_all(Keys(tenant).sync_sheets()))
        return {sheet.experience_id: sheet for sheet in sheets}

    def get(self, tenant: str, experience_id: str) -> Sheet:
        """Return an experience's sheet, read consistently; an empty one where there is none yet."""
        raw = self._store.get_raw(Keys(tenant).sync_sheet(experience_id))
        return Sheet(tenant, experience_id) if raw is None else read_sheet(raw)

    def again(self, sheets: Iterable[Sheet]) -> list[Sheet]:
        """Return the same experiences' sheets as they are now, each read consistently, in the same order."""
        before = list(sheets)
        found = self._store.batch_get(sheet.key for sheet in before)
        return [
            read_sheet(found[sheet.key]) if sheet.key in found else Sheet(sheet.tenant, sheet.experience_id)
            for sheet in before
        ]

    def want(
        self,
        run_id: str,
        dates: Sequence[tuple[Sheet, Sequence[str]]],
        hurried: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> bool:
        """Have up to 25 sheets of one tenant want those dates for a run, and count them as its own, all or none.

        The dates must not be wanted yet as the sheets say; those `hurried`, by the ids of the experiences, must be, and
        go on being wanted by the run that wants them. False where any sheet was planned by another meanwhile, or one
        that is hurried was answered, or others were in the way: read again, and plan anew.
        """
        assert len(dates) <= PLANNED_AT_ONCE, "too many sheets for one transaction"
        tenant = dates[0][0].tenant
        planned, now = sum(len(of_sheet) for _, of_sheet in dates), self._clock.now()
        writes: list[Write] = [
            _planned(sheet, of_sheet, run_id, hurried.get(sheet.experience_id, ()), now) for sheet, of_sheet in dates
        ]
        if planned:
            writes.append(_counted(tenant, run_id, planned=planned))
        try:
            self._store.transact(writes)
        except (Cancelled, Contended):
            return False
        return True

    def queue(self, sheet: Sheet, dates: Sequence[str], stamp: int) -> bool:
        """Say that messages of this stamp (ms) are the current ones of these dates, if it is all still as read.

        False where another planner queued, or a fetcher answered, any of them meanwhile, or others were in the way.
        """
        writer = token_hex(4)
        conditions: list[Condition] = []
        actions: list[Action] = []
        for date in dates:
            was, queued = sheet.queued.get(date), _at(_QUEUED, date)
            conditions += [
                _at(_WANTED, date) == sheet.wanted[date],
                queued.does_not_exist() if was is None else queued == was,
            ]
            actions += [queued.set(stamp), _at(_TAKEN, date).remove(), _at(_WRITER, date).set(writer)]
        write = Update(sheet.key, actions, _all(conditions))
        try:
            self._store.write(write)
        except Contended:
            return False
        except Cancelled as refusal:
            return _is_written_by(writer, refusal.seen([write])[sheet.key], dates[0])
        return True

    def take(self, message: SyncMessage, receive_count: int) -> str | None:
        """Go to work on a pair; return the run that wants it, or None where the message is to be dropped.

        That is a message that is not the pair's current one, and one that was received by another as often or more
        often: a duplicate, or one that came late.
        """
        writer, date = token_hex(4), message.date
        taken = _at(_TAKEN, date)
        write = Update(
            _key_of(message),
            [taken.set(receive_count), _at(_WRITER, date).set(writer)],
            _is_current(message) & _at(_WANTED, date).exists() & (taken.does_not_exist() | (taken < receive_count)),
        )
        for attempt in self._retries:
            try:
                raw = self._store.write(write)
            except Contended:
                self._retries.wait(attempt)
            except Cancelled as refusal:
                raw = refusal.seen([write])[write.key]
                return read_sheet(raw).wanted.get(date) if _is_written_by(writer, raw, date) else None
            else:
                return read_sheet(raw).wanted[date]
        raise Busy

    def give_back(self, message: SyncMessage) -> None:
        """Have a pair not queued any more; it is still wanted. Nothing happens where the message is not current."""
        actions = [_at(name, message.date).remove() for name in (_QUEUED, _TAKEN, _WRITER)]
        self._make([Update(_key_of(message), actions, _is_current(message))])

    def done(
        self, message: SyncMessage, run_id: str, asked_at: int, changed: bool, rejected: Sequence[Rejected] = ()
    ) -> None:
        """Say that a pair was answered, as of `asked_at` (ms), and count it; the product is well.

        Slots that were `rejected` are reported, the first 20 of them. Nothing happens where the run does not want the
        pair any more.
        """
        sheet = Update(
            _key_of(message),
            [
                _at(_SYNCED, message.date).set(asked_at),
                *_without(_OF_PAIRS[1:], message.date),
                Path([_FAILURES]).remove(),
                Path([_NOT_BEFORE]).remove(),
            ],
            _at(_WANTED, message.date) == run_id,
        )
        now = self._clock.now()
        reports = [
            _failure(message, run_id, now, _REJECTED, slot.reason, slot_id=slot.slot_id, number=number)
            for number, slot in enumerate(rejected[:MOST_REJECTED])
        ]
        self._make([sheet, _counted(message.tenant, run_id, now, fetched=1, changed=int(changed)), *reports])

    def drop(self, message: SyncMessage, run_id: str) -> None:
        """Say that a pair is not to be asked for any more, and count it."""
        sheet = Update(
            _key_of(message),
            list(_without(_OF_PAIRS[1:], message.date)),
            _at(_WANTED, message.date) == run_id,
        )
        self._make([sheet, _counted(message.tenant, run_id, self._clock.now(), dropped=1)])

    def failed(
        self,
        message: SyncMessage,
        run_id: str,
        code: str,
        reason: str,
        not_before: int,
        counts_against_product: bool,
    ) -> None:
        """Count an attempt that failed, and say why; the pair is still wanted, and not queued any more.

        Where it counts against the product, that and the date failed once more in a row, and the product is left alone
        until `not_before` (ms). Nothing happens where the message is not current any more.
        """
        now = self._clock.now()
        actions = list(_without((_QUEUED, _TAKEN, _WRITER), message.date))
        if counts_against_product:
            actions += [Path([_FAILURES]).add(1), Path([_NOT_BEFORE]).set(not_before)]
            actions += [_at(_FAILED, message.date).add(1), _at(_TRIED, message.date).set(now)]
        sheet = Update(_key_of(message), actions, _is_current(message) & (_at(_WANTED, message.date) == run_id))
        self._make(
            [
                sheet,
                _counted(message.tenant, run_id, now, failed=1),
                _failure(message, run_id, now, code, reason),
            ]
        )

    def forget(self, sheet: Sheet, dates: Iterable[str]) -> int:
        """Forget all of these dates, and return how many of them were wanted: they are counted as dropped.

        Where any of those was answered or wanted anew meanwhile, nothing is forgotten.
        """
        dates = sorted(dates)
        runs = [sheet.wanted[date] for date in dates if date in sheet.wanted]
        conditions: list[Condition] = [
            _at(_WANTED, date) == sheet.wanted[date] if date in sheet.wanted else _at(_WANTED, date).does_not_exist()
            for date in dates
        ]
        actions = [action for date in dates for action in _without(_OF_PAIRS, date)]
        now = self._clock.now()
        counts = [_counted(sheet.tenant, run, now, dropped=runs.count(run)) for run in sorted(set(runs))]
        made = self._make([Update(sheet.key, actions, _all(conditions)), *counts])
        return len(runs) if made else 0

    def _make(self, writes: Sequence[Write]) -> bool:
        """Make all writes or none, several in one transaction; return False where the first one's condition failed."""
        for attempt in self._retries:
            try:
                self._store.make(writes)
            except Contended:
                self._retries.wait(attempt)
            except Cancelled as refusal:
                reason = refusal.reasons[0]
                if reason is not None and reason.condition_failed:
                    return False
                self._retries.wait(attempt)
            else:
                return True
        raise Busy


def message_of(pair: Pair, stamp: int) -> SyncMessage:
    """Return the message of a pair that was queued with this stamp (ms)."""
    return SyncMessage(pair.tenant, pair.experience_id, pair.date, stamp)


def _planned(sheet: Sheet, dates: Sequence[str], run_id: str, hurried: Sequence[str], now: int) -> Update:
    version = Path([_PLAN_VERSION])
    return Update(
        sheet.key,
        [
            *(_at(_WANTED, date).set(run_id) for date in dates),
            *(_at(_HURRIED, date).set(now) for date in hurried),
            version.set(sheet.plan_version + 1),
        ],
        _all(
            [
                version == sheet.plan_version if sheet.plan_version else version.does_not_exist(),
                *(_at(_WANTED, date) == sheet.wanted[date] for date in hurried),
            ]
        ),
    )


def _counted(tenant: str, run_id: str, now: int | None = None, **counts: int) -> Update:
    """Return the write that adds to the counts of a run; `now` (ms) where that is what became of its pairs."""
    actions: list[Action] = [Path([name]).add(count) for name, count in counts.items() if count]
    if now is not None:
        actions.append(SyncRunItem.last_at.set(now))
    return Update(Keys(tenant).sync_run(run_id), actions)


def _failure(
    message: SyncMessage, run_id: str, now: int, code: str, reason: str, slot_id: str | None = None, number: int = 0
) -> Put:
    item = SyncFailureItem(
        *Keys(message.tenant).sync_failure(run_id, message.experience_id, message.date, now, number),
        experience_id=message.experience_id,
        date=message.date,
        slot_id=slot_id,
        code=code,
        reason=reason,
        at=now,
        ttl=now // 1000 + KEPT_SECONDS,
    )
    return Put(item)


def _key_of(message: SyncMessage) -> Key:
    return Keys(message.tenant).sync_sheet(message.experience_id)


def _is_current(message: SyncMessage) -> Condition:
    return _at(_QUEUED, message.date) == message.stamp


def _is_written_by(writer: str, raw: RawItem, date: str) -> bool:
    return bool(raw.get(f"{_WRITER}#{date}", {}).get("S") == writer)


def _at(name: str, date: str) -> Path:
    return Path([f"{name}#{date}"])


def _without(names: Iterable[str], date: str) -> Iterable[Action]:
    return [_at(name, date).remove() for name in names]


def _all(conditions: Sequence[Condition]) -> Condition:
    return reduce(and_, conditions)


def _numbers(by_date: Mapping[str, str]) -> dict[str, int]:
    return {date: int(number) for date, number in by_date.items()}


def _number(raw: RawItem, name: str) -> int:
    return int(raw[name]["N"]) if name in raw else 0
