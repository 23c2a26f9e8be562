"""The one tree of errors. Each class has a stable code; `platform.http` alone knows their status codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One field, or one line of a cart, that stood in the way.

    `field` names it as the client wrote it (`items.1`, `quantity`); `code` is a stable snake_case word.
    """

    field: str
    message: str
    code: str = "invalid"


class HoldfastError(Exception):
    """An answer to the caller that is not the one hoped for; never a defect of ours.

    `extra` are further keys that a route's clients expect in the body.
    """

    code = "error"
    sentence = "The request could not be carried out."
    retry_after: int | None = None

    def __init__(self, sentence: str | None = None, faults: Sequence[Fault] = ()) -> None:
        self.sentence = sentence or type(self).sentence
        self.faults = tuple(faults)
        self.extra: Mapping[str, Any] = {}
        super().__init__(self.sentence)


class Malformed(HoldfastError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    code = "validation_failed"
    sentence = "Some fields are missing or not acceptable."


class IdempotencyKeyRequired(Malformed):
    """A route that must not run twice was called without an idempotency key."""

    code = "idempotency_key_required"
    sentence = "This route needs an Idempotency-Key header."


class IdempotencyKeyMalformed(Malformed):
    """The idempotency key is not 1 to 255 printable ASCII characters."""

    code = "idempotency_key_malformed"
    sentence = "An Idempotency-Key is 1 to 255 printable ASCII characters without spaces."


class TooManyLines(Malformed):
    """A cart of more lines, or more items to write, than one DynamoDB transaction carries."""

    code = "too_many_lines"
    sentence = "A cart has at most 20 different lines."


class MixedCurrencies(Malformed):
    """The lines of one cart are priced in more than one currency."""

    code = "mixed_currencies"
    sentence = "All lines of one cart must be in one currency."


class IdempotencyKeyReused(HoldfastError):
    """The idempotency key was used before with a different body."""

    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used before with a different body."


class Unauthorized(HoldfastError):
    """No credential, or one that is not known."""

    code = "unauthorized"
    sentence = "A valid Authorization: Bearer credential is needed."


class Forbidden(HoldfastError):
    """The caller is known, but may not do this."""

    code = "forbidden"
    sentence = "The credential does not allow this."


class NotFound(HoldfastError):
    """What was asked for does not exist, or is not the caller's to see."""

    code = "not_found"
    sentence = "There is nothing at this address."


class ProductNotFound(NotFound):
    """No product of the caller's tenant has this id."""

    code = "product_not_found"
    sentence = "There is no such product."


class ReservationNotFound(NotFound):
    """No reservation that the caller may see has this id."""

    code = "reservation_not_found"
    sentence = "There is no such reservation."


class Conflict(HoldfastError):
    """The request is well formed, but the present state does not allow it."""

    code = "conflict"


class Refused(Conflict):
    """A reservation was refused; `faults` names every line that stood in the way."""

    code = "refused"
    sentence = "The reservation was refused."

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].message if len(faults) == 1 else None, faults)
        self.code = faults[0].code


class StockBelowCommitted(Conflict):
    """A new total is lower than what is already held and sold."""

    code = "stock_below_committed"
    sentence = "The stock cannot be set below what is held and sold."


class NoReservation(Conflict):
    """The user holds nothing of this product."""

    code = "no_reservation"
    sentence = "The user holds nothing of this product."


class InsufficientReservation(Conflict):
    """The user holds less of this product than is to be bought."""

    code = "insufficient_reservation"
    sentence = "The user holds less of this product than is to be bought."


class AmountMismatch(Conflict):
    """The client's total is not the price of what it buys."""

    code = "amount_mismatch"
    sentence = "The total amount is not the price of what is bought."


class ReservationOver(Conflict):
    """The reservation's state allows no such step any more."""

    code = "reservation_over"
    sentence = "The reservation is no longer held."


class AlreadyExtended(Conflict):
    """A reservation is extended once."""

    code = "already_extended"
    sentence = "The reservation was extended before; it is extended once."


class Busy(HoldfastError):
    """All attempts met other writers, or throttles; nothing is known to be sold out."""

    code = "busy"
    sentence = "Too many others are writing the same things right now. Try again in a moment."
    retry_after = 1


class Unavailable(HoldfastError):
    """The store did not answer in time; with the same idempotency key the request is safe to repeat."""

    code = "unavailable"
    sentence = "The store did not answer in time. Repeat the request with the same Idempotency-Key."
    retry_after = 1


class InvariantBroken(Exception):
    """A counter does not hold what a live reservation says it took: never the caller's fault, always an alarm."""
