"""What we ask of a partner, whoever it is: one file implements it for each kind of partner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.claims.slot import OfferedSlot

NOT_SENT = "not_sent"
"""The code of a failure that is ours: the partner heard nothing."""


@dataclass(frozen=True)
class Rejected:
    """A slot of an answer that cannot be taken in; `slot_id` is None where not even that can be read."""

    slot_id: str | None
    reason: str


@dataclass(frozen=True)
class Inventory:
    """A partner's answer: the slots of one product on one day; `digest` is that of what it said."""

    slots: Sequence[OfferedSlot]
    rejected: Sequence[Rejected]
    digest: str

    @property
    def is_whole(self) -> bool:
        """Return whether it is known of every slot which one it is, so that others can be said to have vanished."""
        return all(slot.slot_id is not None for slot in self.rejected)


class PartnerLimited(Exception):
    """The partner answers nobody until `reset_at` (ms); None where it does not say."""

    def __init__(self, reset_at: int | None) -> None:
        self.reset_at = reset_at
        super().__init__("the partner's limit is reached")


class PartnerFailed(Exception):
    """The partner did not answer, or not with what was asked for.

    `code` is stable: `not_sent`, `unreachable`, `timed_out`, `dropped`, `server_error`, `refused`, `bad_answer`.
    `reason` is for people and has nothing secret in it. What is NOT_SENT is no failure of the partner's.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


class Partner(Protocol):
    """A partner whose inventory can be asked for. Each call is one request: nothing is repeated (PROTOCOL.md 19)."""

    def inventory(self, product_id: str, date: str, send_within: float) -> Inventory:
        """Return a product's slots on a date (YYYY-MM-DD); raises PartnerLimited and PartnerFailed.

        A request that cannot be sent within so many seconds from now is not sent.
        """
        ...
