"""Partners that answer with an inventory: `GET {base}/api/v1/inventory/{product}?date=`, a bare array of slots.

A slot that cannot be taken in is rejected alone. Its reason says which field is wrong and how, and repeats nothing of
the answer. Fields that nobody here knows are kept aside, as long as they are few.
"""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from holdfast.claims.slot import OfferedPax, OfferedSlot
from holdfast.partners.calls import LIMITED, Calls, shared
from holdfast.partners.port import NOT_SENT, Inventory, Partner, PartnerFailed, PartnerLimited, Rejected
from holdfast.platform.clock import Clock, SystemClock
from holdfast.platform.logs import logger
from holdfast.platform.money import CURRENCIES, to_minor
from holdfast.platform.secrets import SecretUnreadable
from holdfast.platform.tables import PAX_TYPE, SLOT_ID

MOST_SLOTS = 1_000
"""The slots of one product on one day; an answer with more is none."""

MOST_ASIDE = 4_000
"""Bytes of JSON that are kept aside of one slot; where there are more, none are."""

_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_MOST_PLACES = 10**9
_MOST_PAX = 50
_MOST_NESTED = 20
_MOST_SHOWN = 3
_MINUTE, _DAY = 60_000, 86_400_000
_PAX = "paxAvailability"

_STRICT = ConfigDict(strict=True, frozen=True, extra="allow", hide_input_in_errors=True)
_Count = Annotated[int, Field(ge=0, le=_MOST_PLACES)]
_Amount = Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=6)] | Annotated[int, Field(ge=0)]
_Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
_Text = Annotated[str, Field(max_length=1_000)]

_logger = logger()


class _Key(BaseModel):
    """The secret of a partner: what its header x-api-key says."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr = Field(min_length=8, max_length=1_000)


class _Price(BaseModel):
    model_config = _STRICT

    final: _Amount = Field(alias="finalPrice")
    original: _Amount = Field(alias="originalPrice")
    currency: _Currency = Field(alias="currencyCode")


class _Pax(BaseModel):
    model_config = _STRICT

    type: str = Field(pattern=PAX_TYPE)
    name: Annotated[str, Field(max_length=200)]
    description: _Text | None = None
    minimum: _Count = Field(alias="min")
    maximum: _Count = Field(alias="max")
    remaining: _Count
    is_primary: bool = Field(False, alias="isPrimary")
    price: _Price


class _Slot(BaseModel):
    model_config = _STRICT

    slot_id: str = Field(alias="providerSlotId", pattern=SLOT_ID)
    date: str = Field(alias="startDate")
    start_time: str = Field(alias="startTime", pattern=_TIME)
    end_time: str | None = Field(None, alias="endTime", pattern=_TIME)
    remaining: _Count
    currency: _Currency = Field(alias="currencyCode")
    pax: list[_Pax] = Field(alias=_PAX, max_length=_MOST_PAX)


class _Unfit(Exception):
    """A slot that cannot be taken in, with the reason."""


class InventoryApi:
    """A partner with such an API."""

    def __init__(
        self,
        base_url: str,
        secret: Callable[[], Mapping[str, Any]],
        calls: Calls | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take where the API is, and where its secret is read for each request, so that a new one is used soon."""
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._calls = calls
        self._clock = clock or SystemClock()

    def inventory(self, product_id: str, date: str, send_within: float) -> Inventory:
        """Return a product's slots on a date; raises PartnerLimited and PartnerFailed."""
        send_by = time.monotonic() + send_within
        # A product called ".." would be another address, if its dots were dots.
        product = quote(product_id, safe="").replace(".", "%2E")
        url = f"{self._base_url}/api/v1/inventory/{product}"
        headers = {"x-api-key": self._key()}
        answer = (self._calls or shared()).get(url, {"date": date}, headers, send_by)
        if answer.status == LIMITED:
            raise PartnerLimited(_reset(answer.text, self._clock.now()))
        return read_inventory(answer.text, date)

    def _key(self) -> str:
        """Return the key; raises PartnerFailed where there is none, of which somebody has to see to it."""
        try:
            key = _Key.model_validate(self._secret()).api_key.get_secret_value()
        except SecretUnreadable as wrong:
            _logger.error("a partner's key cannot be read", extra={"why": str(wrong)})
        except ValidationError:
            _logger.error("a partner's key is not as it has to be", extra={"why": "api_key"})
        else:
            if key.isascii() and key.isprintable() and key == key.strip():
                return key
            _logger.error("a partner's key is not as it has to be", extra={"why": "not to be sent in a header"})
        raise PartnerFailed(NOT_SENT, "there is no key to ask with")


def made(base_url: str, secret: Callable[[], Mapping[str, Any]]) -> Partner:
    """Return the partner at an address, with the secret that is read there.

    Both the client and the key are at hand then: the time in which a request has to be sent is not spent on them.
    """
    shared()
    with suppress(SecretUnreadable):
        secret()
    return InventoryApi(base_url, secret)


def read_inventory(text: bytes, date: str) -> Inventory:
    """Return what an answer for a date says; raises PartnerFailed where it is no array of slots."""
    said = _parsed(text)
    if not isinstance(said, list):
        raise PartnerFailed("bad_answer", "the answer is not an array")
    if len(said) > MOST_SLOTS:
        raise PartnerFailed("bad_answer", f"the answer has more than {MOST_SLOTS} slots")
    read: list[OfferedSlot] = []
    rejected: list[Rejected] = []
    for each in said:
        try:
            read.append(_slot(each, date))
        except _Unfit as wrong:
            rejected.append(Rejected(_id_of(each), str(wrong)))
    times = Counter(slot.slot_id for slot in read)
    slots = sorted((slot for slot in read if times[slot.slot_id] == 1), key=lambda slot: slot.slot_id)
    rejected += [Rejected(slot.slot_id, "another slot has its id") for slot in read if times[slot.slot_id] > 1]
    return Inventory(slots, rejected, _digest(slots, rejected))


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_float=_decimal, parse_constant=_decimal)
    except (ValueError, RecursionError):
        raise PartnerFailed("bad_answer", "the answer is not JSON") from None


def _decimal(text: str) -> Decimal:
    """Return a number exactly; one that no Decimal holds is none, and wrong wherever it stands."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _slot(said: Any, date: str) -> OfferedSlot:
    """Return a slot as it is sold; raises _Unfit."""
    if not isinstance(said, dict):
        raise _Unfit("not an object")
    try:
        slot = _Slot.model_validate(said)
    except ValidationError as wrong:
        raise _Unfit(_faults(wrong)) from None
    if slot.date != date:
        raise _Unfit("startDate: not the date that was asked for")
    if slot.currency not in CURRENCIES:
        raise _Unfit("currencyCode: not a currency")
    if len({pax.type for pax in slot.pax}) < len(slot.pax):
        raise _Unfit(f"{_PAX}: a type comes twice")
    return OfferedSlot(
        slot_id=slot.slot_id,
        start_time=slot.start_time,
        end_time=slot.end_time,
        remaining=slot.remaining,
        currency=slot.currency,
        pax=tuple(_pax(pax, f"{_PAX}.{number}", slot.currency) for number, pax in enumerate(slot.pax)),
        aside=_aside(slot),
    )


def _pax(pax: _Pax, field: str, currency: str) -> OfferedPax:
    if pax.minimum > pax.maximum:
        raise _Unfit(f"{field}: min is more than max")
    if pax.price.currency != currency:
        raise _Unfit(f"{field}.price.currencyCode: not the slot's")
    try:
        final, original = (to_minor(Decimal(price), currency) for price in (pax.price.final, pax.price.original))
    except ValueError as wrong:
        raise _Unfit(f"{field}.price: {wrong}") from None
    return OfferedPax(
        type=pax.type,
        name=pax.name,
        description=pax.description or "",
        minimum=pax.minimum,
        maximum=pax.maximum,
        remaining=pax.remaining,
        is_primary=pax.is_primary,
        final_minor=final,
        original_minor=original,
    )


def _aside(slot: _Slot) -> Mapping[str, object]:
    """Return the fields that nobody here knows, those of pax types by their type; decimals as texts."""
    by_type = {pax.type: _more(pax) | ({"price": _more(pax.price)} if _more(pax.price) else {}) for pax in slot.pax}
    of_pax = {pax_type: more for pax_type, more in by_type.items() if more}
    aside = _more(slot) | ({_PAX: of_pax} if of_pax else {})
    if not _is_shallow(aside, _MOST_NESTED):
        return {}
    text = json.dumps(aside, default=str, ensure_ascii=False)
    try:
        kept: Mapping[str, object] = json.loads(text) if len(text.encode()) <= MOST_ASIDE else {}
    except UnicodeEncodeError:
        return {}
    return kept


def _more(model: BaseModel) -> dict[str, Any]:
    return dict(model.model_extra or {})


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in inner)


def _id_of(said: Any) -> str | None:
    """Return the id of a slot that was rejected, or a text that is no slot's id here; None where it says none."""
    slot_id = said.get("providerSlotId") if isinstance(said, dict) else None
    if not isinstance(slot_id, str):
        return None
    if re.fullmatch(SLOT_ID, slot_id):
        return slot_id
    return "?" + re.sub(r"[^A-Za-z0-9._~:-]", "?", slot_id[:60])


def _faults(wrong: ValidationError) -> str:
    """Return the first faults of a slot as a sentence, without what stands there."""
    found = wrong.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found[:_MOST_SHOWN]]
    more = len(found) - len(texts)
    return "; ".join(texts) + (f"; and {more} more" if more else "")


def _digest(slots: list[OfferedSlot], rejected: list[Rejected]) -> str:
    """Return what is the same for answers that say the same here, and for no others."""
    said = json.dumps([slots, rejected], default=vars, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def _reset(text: bytes, now: int) -> int | None:
    """Return when (ms) a 429 says that there is room again; None where it says so not, or what cannot be meant."""
    try:
        reset = json.loads(text)["rateLimitState"]["reset"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return reset if type(reset) is int and -_MINUTE <= reset - now <= _DAY else None
