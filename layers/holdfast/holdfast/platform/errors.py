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


class CaptchaRequired(Malformed):
    """The tenant asks for a captcha, and the request came without one."""

    code = "captcha_required"
    sentence = "This needs a captcha: send its token."


class CurrencyNotUsed(Malformed):
    """The tenant sells in other currencies."""

    code = "currency_not_used"
    sentence = "This currency is not one that is used here."


class EmailInUse(Malformed):
    """Somebody has an account with this e-mail address."""

    code = "email_in_use"
    sentence = "There is an account with this e-mail address already."


class BadCredentials(Malformed):
    """The e-mail address has no confirmed account, or the password is not its: which of the two is not told."""

    code = "bad_credentials"
    sentence = "The e-mail address or the password is not right."


class CodeWrong(Malformed):
    """A code that was sent or shown to the user is not the one that was entered, or is too old."""

    code = "code_wrong"
    sentence = "This code is not right, or not valid any more."


class PasswordRefused(Malformed):
    """A password is too easy to guess."""

    code = "password_refused"
    sentence = "This password cannot be used."


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


class TenantSuspended(Forbidden):
    """The caller's tenant was suspended by the operator."""

    code = "tenant_suspended"
    sentence = "This tenant is suspended."


class CaptchaFailed(Forbidden):
    """The captcha's token is not good: forged, used before, too old, of another action or host, or scored too low."""

    code = "captcha_failed"
    sentence = "The captcha was not passed. Try again with a new one."


class TooManyRequests(HoldfastError):
    """A limit on how often somebody may do something is reached; `retry_after` says when there is room again.

    `limit` is how many there may be in `window` seconds.
    """

    code = "too_many_requests"
    sentence = "That is too often. Try again later."

    def __init__(self, limit: int, window: int, retry_after: int, sentence: str | None = None) -> None:
        """Take the limit, its window in seconds, and in how many seconds, from 1, there is room again."""
        super().__init__(sentence)
        self.limit, self.window, self.retry_after = limit, window, retry_after


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


class EventNotFound(NotFound):
    """No event of the caller's tenant has this id."""

    code = "event_not_found"
    sentence = "There is no such event."


class TicketTypeNotFound(NotFound):
    """The event has no ticket type of this id."""

    code = "ticket_type_not_found"
    sentence = "The event has no such ticket type."


class PurchaseNotFound(NotFound):
    """No purchase that the caller may see has this id."""

    code = "purchase_not_found"
    sentence = "There is no such purchase."


class TicketNotFound(NotFound):
    """No listing of the caller's tenant has this id."""

    code = "ticket_not_found"
    sentence = "There is no such ticket."


class OrderNotFound(NotFound):
    """No order of the caller's tenant has this id."""

    code = "order_not_found"
    sentence = "There is no such order."


class VenueNotFound(NotFound):
    """No venue of the tenant has this id."""

    code = "venue_not_found"
    sentence = "There is no such venue."


class ExperienceNotFound(NotFound):
    """No experience of the tenant has this id."""

    code = "experience_not_found"
    sentence = "There is no such experience."


class SyncRunNotFound(NotFound):
    """No run of the tenant's synchronisation has this id."""

    code = "sync_run_not_found"
    sentence = "There is no such run."


class BlackoutNotFound(NotFound):
    """The venue has no blackout of this id."""

    code = "blackout_not_found"
    sentence = "The venue has no such blackout."


class BookingNotFound(NotFound):
    """No booking that the caller may see has this id."""

    code = "booking_not_found"
    sentence = "There is no such booking."


class UserNotFound(NotFound):
    """The tenant knows no such user."""

    code = "user_not_found"
    sentence = "There is no such user."


class TenantNotFound(NotFound):
    """There is no such tenant, or it is suspended."""

    code = "tenant_not_found"
    sentence = "There is no such tenant."


class KeyNotFound(NotFound):
    """The tenant has no such service key."""

    code = "key_not_found"
    sentence = "There is no such key."


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


class HoldTaken(Conflict):
    """The hold ran out, and another took some of it since; `faults` names what."""

    code = "hold_lapsed"
    sentence = "The hold ran out, and another has taken some of it since."


class SeatsNotHeld(Conflict):
    """Not all of the seats or tickets are held by this user."""

    code = "not_held"
    sentence = "Not all of this is held by this user, or its time is over."


class TicketLocked(Conflict):
    """A listing is locked by an order, or sold."""

    code = "ticket_locked"
    sentence = "The ticket is locked by an order or sold, and cannot be changed."


class TicketReserved(Conflict):
    """A listing is held by another's order, or sold."""

    code = "already_reserved"
    sentence = "The ticket is reserved already."


class OrderOver(Conflict):
    """The order's state allows no such step any more."""

    code = "order_over"
    sentence = "The order cannot be cancelled any more."


class CheckoutUnderWay(Conflict):
    """Another payment for the same reservation is being made; `extra` names the order."""

    code = "checkout_under_way"
    sentence = "Another payment for this is under way."


class PaymentFailed(Conflict):
    """The payment did not succeed, or came too late; `extra` says of which order and why."""

    code = "payment_failed"
    sentence = "The payment did not succeed; nothing was bought."


class ProviderNotUsed(Malformed):
    """The tenant does not use the payment provider that a checkout names."""

    code = "provider_not_used"
    sentence = "This payment provider is not one that is used here."


class PaymentRequired(HoldfastError):
    """A customer's own checkout of a priced thing came without a way to pay."""

    code = "payment_required"
    sentence = "This has to be paid: check out with a payment."


class NotRefundable(Conflict):
    """The order has not that much to give back, or is in no state to."""

    code = "not_refundable"
    sentence = "There is not that much of this order to give back."


class SignatureRefused(Malformed):
    """A webhook is not signed by whom it says it is from, or too old, or from the future."""

    code = "signature_refused"
    sentence = "The signature is not valid."


class CodeRefused(Malformed):
    """A ticket's code is none that was issued here."""

    code = "ticket_code_invalid"
    sentence = "This is no ticket code of ours."


class AlreadyAdmitted(Conflict):
    """A ticket's code was let in before; `extra` says when."""

    code = "already_admitted"
    sentence = "This ticket was let in before."


class TicketNotValid(Conflict):
    """A ticket was given back, or its order is not paid."""

    code = "ticket_not_valid"
    sentence = "This ticket is not valid any more."


class TimeConflict(Conflict):
    """The time is taken, or blacked out; `extra` suggests others."""

    code = "booking_time_conflict"
    sentence = "The venue is not free at that time."


class BookingOver(Conflict):
    """The booking's state allows no such step."""

    code = "booking_state"
    sentence = "The booking's state does not allow this."


class TenantExists(Conflict):
    """Another tenant has this id."""

    code = "tenant_exists"
    sentence = "There is a tenant with this id already."


class KeyRotated(Conflict):
    """A service key was rotated before: there is never more than one in its place."""

    code = "key_rotated"
    sentence = "This key was rotated before: rotate the one that replaced it."


class KeyShownBefore(Conflict):
    """A service key was issued before to this very request, and what it was made of has been replaced since."""

    code = "key_shown_before"
    sentence = "This key was issued before and cannot be shown again."


class NoAccount(Conflict):
    """The user has no account, or no e-mail address to have one with."""

    code = "no_account"
    sentence = "This user has no e-mail address to sign in with."


class AccountNeedsEmail(Conflict):
    """Somebody signs in with their e-mail address, so that it can be changed, but not taken away."""

    code = "account_needs_email"
    sentence = "This user signs in with the e-mail address: it can be changed, but not taken away."


class ExperienceExists(Conflict):
    """The tenant has an experience of this id, and it is another."""

    code = "experience_exists"
    sentence = "There is an experience of this id already."


class PhoneInUse(Conflict):
    """Another user has this phone."""

    code = "phone_in_use"
    sentence = "Another user has this phone number."


class SeatMapFull(Conflict):
    """An event has at most 50 000 seats."""

    code = "seat_map_full"
    sentence = "An event has at most 50 000 seats."


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


class CodeNotSent(Unavailable):
    """The mail with a code could not be sent: its sender is out of order, or has sent as many as it may."""

    code = "code_not_sent"
    sentence = "The e-mail with the code could not be sent. Try again later."
    retry_after = 60


class ProviderUnavailable(HoldfastError):
    """A payment provider did not answer in time, or answered that it cannot now: nothing is known of the request."""

    code = "provider_unavailable"
    sentence = "The payment provider does not answer. Try again in a moment."
    retry_after = 5


class CaptchaUnavailable(Unavailable):
    """The captcha's provider does not answer, so that nothing is known of the token: nobody is let through."""

    code = "captcha_unavailable"
    sentence = "The captcha cannot be checked right now. Try again in a moment."
    retry_after = 5


class InvariantBroken(Exception):
    """A counter does not hold what a live reservation says it took: never the caller's fault, always an alarm."""
