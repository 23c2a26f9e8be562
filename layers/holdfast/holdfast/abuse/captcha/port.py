"""The port behind which every captcha provider sits, and what passes through it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Solved:
    """A token that its provider calls good: solved at `solved_at` (ms) on a page of `host`.

    `action` is what the page asked it for, `score` from 0 (a machine) to 1 (a person); None where a provider never
    tells.
    """

    host: str
    solved_at: int
    action: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class NotSolved:
    """A token that is not good; `reason` is a word or two for the log.

    `is_odd` where the provider's answer is not what it should be, so that somebody has to look.
    """

    reason: str
    is_odd: bool = False


Verdict = Solved | NotSolved


class Unverified(Exception):
    """Nothing is known of a token; the text says why, and nothing of the token."""


class ProviderOut(Unverified):
    """The provider does not answer, or answers that it cannot now.

    Never raised for what whoever sends tokens can bring about by them, since tenants may let everybody in meanwhile.
    """


class AskedTooOften(Unverified):
    """The provider has been asked for more than it answers: anybody can see to that, with tokens that are made up."""


class Misconfigured(Unverified):
    """The provider does not know our credentials, or we have none: that does not pass by itself."""


class Captcha(Protocol):
    """A captcha provider, with a tenant's own credentials."""

    life_seconds: int
    """How long after it was solved a token may be used, at most."""

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what the provider says of a token, which spends it; raises Unverified.

        `action` is what the token should have been asked for, `address` that of whoever sends it, where it is known.
        """
        ...
