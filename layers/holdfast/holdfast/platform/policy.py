"""What a tenant has set for its callers' requests: it travels with the caller, so that no request has to read it.

The authorizer reads it beside the credential; a change is heeded within the minute that its answers are cached. It is
stored, and travels, as the JSON text that `holdfast.identity.tenant_settings` validates; what is left out is as the
stage has it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from holdfast.platform.errors import CurrencyNotUsed, Fault


@dataclass(frozen=True)
class CaptchaPolicy:
    """That reserving and checking out take a captcha: of which provider, on which hosts, at which score (0 to 1).

    `asks_service_keys` is whether a tenant's own servers have to send one too; `admits_in_outage` whether requests go
    on while the provider does not answer.
    """

    provider: str
    site_key: str
    hosts: tuple[str, ...]
    minimum_score: float = 0.5
    asks_service_keys: bool = True
    admits_in_outage: bool = False
    project: str | None = None


@dataclass(frozen=True)
class PatiencePolicy:
    """What becomes of a user whose holds expire again and again, unbought.

    From `after` of them on, each further one halves how long their holds last, down to `shortest_seconds`, by how much
    they are extended, and how many may be made a minute. All are forgotten once none came for `forget_seconds`, or
    something is bought. What is let go of in time does not count, nor what is added to in time by the older deals: its
    time then begins anew. A checkout has the time to pay that all have, and counts if it is not paid.
    """

    after: int = 3
    shortest_seconds: int = 60
    forget_seconds: int = 86_400


@dataclass(frozen=True)
class Policy:
    """A tenant's settings as far as requests go by them; None is as the stage has it, or without a limit."""

    hold_seconds: int | None = None
    hold_seconds_max: int | None = None
    listing_hold_seconds: int | None = None
    venue_hold_seconds: int | None = None
    currencies: tuple[str, ...] = ()
    reserves_per_minute: int | None = None
    checkouts_per_minute: int | None = None
    captcha: CaptchaPolicy | None = None
    patience: PatiencePolicy | None = None

    def must_use(self, currency: str | None) -> None:
        """Raise CurrencyNotUsed for a currency that the tenant does not sell in; one that has set none sells in any."""
        if currency is not None and self.currencies and currency not in self.currencies:
            raise CurrencyNotUsed(faults=[Fault("currency", CurrencyNotUsed.sentence, CurrencyNotUsed.code)])

    def currency_of(self, wanted: str | None, otherwise: str) -> str:
        """Return the currency of something new: as `wanted`, else the tenant's first, else `otherwise`, the stage's.

        Raises CurrencyNotUsed for one that the tenant does not sell in.
        """
        self.must_use(wanted)
        return wanted or next(iter(self.currencies), otherwise)


UNSET = Policy()


@lru_cache(maxsize=256)
def read_policy(text: str) -> Policy:
    """Return the policy that a tenant's settings say; no text is one that sets nothing."""
    if not text:
        return UNSET
    said = json.loads(text)
    known = _known(Policy, said)
    if "currencies" in known:
        known["currencies"] = tuple(known["currencies"])
    if (captcha := known.get("captcha")) is not None:
        known["captcha"] = CaptchaPolicy(**_known(CaptchaPolicy, captcha | {"hosts": tuple(captcha["hosts"])}))
    if (patience := known.get("patience")) is not None:
        known["patience"] = PatiencePolicy(**_known(PatiencePolicy, patience))
    return Policy(**known)


def _known(model: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return those entries that the model has: settings that no request goes by are none of its business."""
    names = {field.name for field in fields(model)}
    return {name: value for name, value in said.items() if name in names}
