"""The sandbox: every token, books that never give back more than they took, and calls that have their effect once."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.checkout.payments import signatures
from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState, Refund, RefundState
from holdfast.checkout.payments.sandbox import SANDBOX_WEBHOOK_SECRET, SIGNATURE_HEADER, Sandbox
from holdfast.checkout.payments.sandbox_book import Book, SandboxToken, opened
from holdfast.platform.dynamodb import Cancelled, Contended, Store, Write
from holdfast.platform.errors import NotFound, ProviderUnavailable, SignatureRefused, Unavailable
from holdfast.platform.retries import Retries
from tests.engine.shop import ManualClock
from tests.payments.wire import ORDER, TENANT, payment, request

PENDING_TOKENS = [None, "tok_confirm", "tok_never", "tok_pay_late", "tok_pay_twice", "tok_wrong_amount"]
AUTHORISED_TOKENS = ["tok_success", "tok_capture_fails", "tok_refund_fails"]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is moved by hand."""
    return ManualClock()


@pytest.fixture
def sandbox(store: Store, clock: ManualClock) -> Sandbox:
    """The sandbox as a tenant uses it."""
    return Sandbox(store, TENANT, clock, Retries(sleep=clock.sleep))


@pytest.mark.parametrize("token", AUTHORISED_TOKENS)
def test_a_good_token_is_authorised_and_carries_whose_order_it_is(sandbox: Sandbox, token: str) -> None:
    made = sandbox.authorise(request(token))
    assert made == payment(made.id, order_id=ORDER, attempt=1)
    assert sandbox.find(made.id) == made


@pytest.mark.parametrize("token", PENDING_TOKENS)
def test_other_tokens_and_none_are_pending_until_the_buyer_acts(sandbox: Sandbox, token: str | None) -> None:
    made = sandbox.authorise(request(token))
    assert made.state is PaymentState.PENDING
    assert made.action == {"type": "sandbox", "url": f"/sandbox/{TENANT}/payments/{made.id}"}


@pytest.mark.parametrize(("token", "reason"), [("tok_decline", "card_declined"), ("pm_card_visa", "unknown_token")])
def test_a_bad_token_is_declined_with_its_reason(sandbox: Sandbox, token: str, reason: str) -> None:
    made = sandbox.authorise(request(token))
    assert (made.state, made.reason, made.action) == (PaymentState.DECLINED, reason, None)


def test_a_token_that_times_out_never_makes_a_payment(sandbox: Sandbox) -> None:
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            sandbox.authorise(request("tok_timeout"))
    assert sandbox.find_by_order(request("tok_timeout")) is None


def test_a_payment_whose_answer_was_lost_is_found_by_repeating_and_by_asking(sandbox: Sandbox) -> None:
    with pytest.raises(ProviderUnavailable):
        sandbox.authorise(request("tok_lost_answer"))
    found = sandbox.find_by_order(request("tok_lost_answer"))
    assert found is not None
    assert found.state is PaymentState.AUTHORISED
    assert sandbox.authorise(request("tok_lost_answer")) == found


def test_the_same_key_makes_one_payment_and_another_key_another(sandbox: Sandbox) -> None:
    first = sandbox.authorise(request("tok_success"))
    assert sandbox.authorise(request("tok_success")) == first
    assert sandbox.authorise(request("tok_success", key="charge-2")).id != first.id


@pytest.mark.parametrize(
    "other",
    [
        request("tok_confirm"),
        request(None),
        request("tok_success", amount=5_001),
        request("tok_success", currency="EUR"),
        request("tok_success", attempt=2),
    ],
)
def test_a_key_is_good_for_one_payment_only(sandbox: Sandbox, other: PaymentRequest) -> None:
    """As with Stripe, which keeps what else was sent with a key."""
    made = sandbox.authorise(request("tok_success"))
    with pytest.raises(ProviderUnavailable):
        sandbox.authorise(other)
    assert sandbox.authorise(request("tok_success")) == made


def test_a_payment_of_another_amount_is_found_by_its_key_still(sandbox: Sandbox) -> None:
    (paid,) = sandbox.act(sandbox.authorise(request("tok_wrong_amount")).id, "pay")
    assert sandbox.authorise(request("tok_wrong_amount")) == paid


def test_another_tenants_payment_is_not_in_these_books(sandbox: Sandbox, store: Store) -> None:
    made = sandbox.authorise(request("tok_success"))
    assert Sandbox(store, "another").find(made.id) is None


def test_a_buyer_who_pays_is_authorised_once(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_confirm"))
    acted = sandbox.act(made.id, "pay")
    assert [each.state for each in acted] == [PaymentState.AUTHORISED]
    assert sandbox.act(made.id, "pay") == acted
    assert sandbox.act(made.id, "decline") == acted


def test_a_buyer_who_is_declined_stays_so(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_confirm"))
    acted = sandbox.act(made.id, "decline")
    assert [(each.state, each.reason) for each in acted] == [(PaymentState.DECLINED, "card_declined")]
    assert sandbox.act(made.id, "pay") == acted


def test_a_buyer_of_another_payment_than_there_is_acts_on_nothing(sandbox: Sandbox) -> None:
    with pytest.raises(NotFound):
        sandbox.act("sandbox_none", "pay")


def test_a_payment_of_which_no_webhook_tells_is_found_by_asking(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_never"))
    assert sandbox.act(made.id, "pay") == []
    found = sandbox.find(made.id)
    assert found is not None
    assert found.state is PaymentState.AUTHORISED


def test_a_late_payment_comes_after_the_void(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_pay_late"))
    assert sandbox.void(made, "void").state is PaymentState.VOIDED
    (late,) = sandbox.act(made.id, "pay")
    assert (late.id, late.state, late.captured_minor) == (made.id, PaymentState.CAPTURED, 5_000)
    assert sandbox.void(made, "void").state is PaymentState.CAPTURED


def test_no_other_payment_can_be_made_after_the_void(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_confirm"))
    sandbox.void(made, "void")
    assert [each.state for each in sandbox.act(made.id, "pay")] == [PaymentState.VOIDED]


def test_a_buyer_who_pays_twice_makes_two_payments_and_never_three(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_pay_twice"))
    acted = sandbox.act(made.id, "pay")
    assert [(each.state, each.captured_minor) for each in acted] == [
        (PaymentState.AUTHORISED, 0),
        (PaymentState.CAPTURED, 5_000),
    ]
    assert acted[0].id == made.id != acted[1].id
    assert {(each.order_id, each.attempt) for each in acted} == {(ORDER, 1)}
    assert sandbox.act(made.id, "pay") == acted
    assert sandbox.refund(acted[1], 5_000, "refund").state is RefundState.PAID
    assert sandbox.act(made.id, "pay")[1].refunded_minor == 5_000


def test_a_buyer_who_pays_another_amount_pays_one_unit_more(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_wrong_amount"))
    acted = sandbox.act(made.id, "pay")
    assert [(each.id, each.amount_minor) for each in acted] == [(made.id, 5_001)]


def test_a_capture_takes_the_whole_once(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_success"))
    taken = sandbox.capture(made, "capture")
    assert (taken.state, taken.captured_minor) == (PaymentState.CAPTURED, 5_000)
    assert sandbox.capture(made, "capture") == taken


def test_a_capture_that_fails_takes_nothing_and_says_why(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_capture_fails"))
    for _ in range(2):
        found = sandbox.capture(made, "capture")
        assert (found.state, found.reason, found.captured_minor) == (PaymentState.DECLINED, "capture_failed", 0)


def test_a_refund_that_fails_pays_nothing_and_says_why(sandbox: Sandbox) -> None:
    taken = sandbox.capture(sandbox.authorise(request("tok_refund_fails")), "capture")
    made = sandbox.refund(taken, 5_000, "refund")
    assert (made.state, made.reason) == (RefundState.FAILED, "refund_refused")
    found = sandbox.find(taken.id)
    assert found is not None
    assert found.refunded_minor == 0


def test_a_refund_is_paid_once_a_key_and_never_beyond_what_was_taken(sandbox: Sandbox) -> None:
    taken = sandbox.capture(sandbox.authorise(request("tok_success")), "capture")
    first = sandbox.refund(taken, 3_000, "refund-1")
    assert first.state is RefundState.PAID
    assert sandbox.refund(taken, 3_000, "refund-1") == first
    assert sandbox.refund(taken, 3_000, "refund-2").state is RefundState.FAILED
    assert sandbox.refund(taken, 2_000, "refund-3").state is RefundState.PAID
    found = sandbox.find(taken.id)
    assert found is not None
    assert (found.captured_minor, found.refunded_minor) == (5_000, 5_000)


def test_a_key_is_good_for_one_refund_only(sandbox: Sandbox) -> None:
    taken = sandbox.capture(sandbox.authorise(request("tok_success")), "capture")
    sandbox.refund(taken, 3_000, "refund-1")
    with pytest.raises(ProviderUnavailable):
        sandbox.refund(taken, 2_000, "refund-1")


def test_refunds_may_fail_after_they_were_paid_and_are_made_again_by_their_key(sandbox: Sandbox) -> None:
    taken = sandbox.capture(sandbox.authorise(request("tok_success")), "capture")
    assert sandbox.fail_refunds(taken.id) == []
    first, second = sandbox.refund(taken, 3_000, "refund-1"), sandbox.refund(taken, 2_000, "refund-2")
    failed = sandbox.fail_refunds(taken.id)
    assert failed == [
        Refund(first.id, RefundState.FAILED, 3_000, "rejected_by_bank", "refund-1"),
        Refund(second.id, RefundState.FAILED, 2_000, "rejected_by_bank", "refund-2"),
    ]
    assert (sandbox.fail_refunds(taken.id), sandbox.refunds_of(taken.id)) == (failed, failed)
    found = sandbox.find(taken.id)
    assert found is not None
    assert found.refunded_minor == 0
    again = sandbox.refund(taken, 3_000, "refund-1")
    assert again.state is RefundState.PAID
    assert [refund.id for refund in sandbox.refunds_of(taken.id)] == [first.id, second.id, again.id]


def test_refunds_that_were_refused_are_none(sandbox: Sandbox) -> None:
    taken = sandbox.capture(sandbox.authorise(request("tok_refund_fails")), "capture")
    sandbox.refund(taken, 5_000, "refund")
    assert sandbox.refunds_of(taken.id) == sandbox.fail_refunds(taken.id) == sandbox.refunds_of("sandbox_none") == []
    with pytest.raises(NotFound):
        sandbox.fail_refunds("sandbox_none")


def test_what_was_not_taken_is_not_paid_back(sandbox: Sandbox) -> None:
    made = sandbox.authorise(request("tok_success"))
    assert sandbox.refund(made, 1, "refund").state is RefundState.FAILED


def test_a_payment_that_is_not_in_the_books_is_neither_taken_nor_given_back(sandbox: Sandbox) -> None:
    """As one that somebody made up, and signed a webhook for."""
    made_up = payment("sandbox_made_up")
    assert sandbox.find("sandbox_made_up") is None
    assert sandbox.capture(made_up, "capture").state is PaymentState.VOIDED
    assert sandbox.void(made_up, "void").state is PaymentState.VOIDED
    with pytest.raises(ProviderUnavailable):
        sandbox.refund(made_up, 100, "refund")


class Interrupted(Store):
    """A store over another's table in which something happens before each write."""

    def __init__(self, inner: Store, before: Callable[[], None]) -> None:
        self.__dict__.update(inner.__dict__)
        self._before = before

    def write(self, write: Write) -> dict[str, Any]:
        """Write, after what happens before."""
        self._before()
        return super().write(write)


def test_of_two_refunds_at_once_both_are_kept_or_one_is_refused(store: Store, sandbox: Sandbox) -> None:
    """Another process writes the book between this one's read and its write."""
    taken = sandbox.capture(sandbox.authorise(request("tok_success")), "capture")
    others: list[Refund] = []

    def other() -> None:
        if not others:
            others.append(sandbox.refund(taken, 3_000, "theirs"))

    mine = Sandbox(Interrupted(store, other), TENANT, retries=Retries(sleep=lambda _: None))
    assert mine.refund(taken, 3_000, "mine").state is RefundState.FAILED
    assert [refund.state for refund in others] == [RefundState.PAID]


def test_of_two_calls_that_make_the_same_payment_at_once_both_get_it(store: Store, sandbox: Sandbox) -> None:
    made: list[Payment] = []

    def other() -> None:
        if not made:
            made.append(sandbox.authorise(request("tok_success")))

    mine = Sandbox(Interrupted(store, other), TENANT, retries=Retries(sleep=lambda _: None))
    assert mine.authorise(request("tok_success")) == made[0]


@pytest.mark.parametrize("fault", [Unavailable(), Contended(), Cancelled([None])])
def test_books_that_cannot_be_written_say_nothing_of_the_payment(store: Store, fault: Exception) -> None:
    def fail() -> None:
        raise fault

    mine = Sandbox(Interrupted(store, fail), TENANT, retries=Retries(sleep=lambda _: None))
    with pytest.raises(ProviderUnavailable):
        mine.authorise(request("tok_success"))


def test_a_webhook_tells_of_the_payment_as_it_is(sandbox: Sandbox, clock: ManualClock) -> None:
    made = sandbox.authorise(request("tok_confirm"))
    body, headers = sandbox.webhook(made, clock.now(), "evt_1")
    event = sandbox.read_event(body, headers, clock.now())
    assert (event.id, event.type, event.payment) == ("evt_1", "payment.pending", made)


def test_a_webhook_tells_that_a_refund_failed(sandbox: Sandbox, clock: ManualClock) -> None:
    refund = Refund("sandbox_1_refund_1", RefundState.FAILED, 100, key="refund-1")
    body, headers = sandbox.webhook_of_refund(refund, clock.now(), "evt_1")
    event = sandbox.read_event(body, headers, clock.now())
    assert (event.id, event.type, event.payment, event.failed_refund) == ("evt_1", "refund.failed", None, "refund-1")


@pytest.mark.parametrize("more", [{}, {"failed_refund": 5}, {"failed_refund": ""}, {"payment": None}])
def test_a_webhook_that_tells_of_nothing_is_refused(sandbox: Sandbox, clock: ManualClock, more: dict[str, Any]) -> None:
    body = json.dumps({"id": "evt_1", "type": "refund.failed"} | more).encode()
    headers = {SIGNATURE_HEADER: signatures.timed_header(body, SANDBOX_WEBHOOK_SECRET, clock.now())}
    with pytest.raises(SignatureRefused):
        sandbox.read_event(body, headers, clock.now())


@pytest.mark.parametrize("off", [-360_000, 360_000])
def test_a_webhook_of_six_minutes_ago_or_in_six_minutes_is_refused(
    sandbox: Sandbox, clock: ManualClock, off: int
) -> None:
    body, headers = sandbox.webhook(payment("sandbox_1"), clock.now() + off, "evt_1")
    with pytest.raises(SignatureRefused):
        sandbox.read_event(body, headers, clock.now())


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 5},
        {"state": "made"},
        {"amount_minor": "5000"},
        {"amount_minor": -1},
        {"amount_minor": 1e400},
        {"currency": "usd"},
        {"order_id": 5},
        {"attempt": 0},
        {"attempt": True},
        {"action": "pay"},
        {"more": 1},
    ],
)
def test_a_webhook_of_what_is_no_payment_is_refused_though_anybody_can_sign_it(
    sandbox: Sandbox, clock: ManualClock, change: dict[str, Any]
) -> None:
    body, _ = sandbox.webhook(payment("sandbox_1"), clock.now(), "evt_1")
    said = json.loads(body)
    said["payment"] |= change
    other = json.dumps(said).encode()
    headers = {SIGNATURE_HEADER: signatures.timed_header(other, SANDBOX_WEBHOOK_SECRET, clock.now())}
    with pytest.raises(SignatureRefused):
        sandbox.read_event(other, headers, clock.now())


STEPS = st.one_of(
    st.just(Book.paid),
    st.just(Book.declined),
    st.just(Book.captured),
    st.just(Book.voided),
    st.just(Book.refunds_failed),
    st.tuples(st.integers(-10, 6_000), st.sampled_from(["a", "b", "c", "d"])),
)
TOKENS = st.one_of(st.none(), st.sampled_from(list(SandboxToken)))


@settings(deadline=None)
@given(TOKENS, st.lists(STEPS, max_size=20))
def test_books_never_take_more_than_was_authorised_nor_give_back_more_than_was_taken(
    token: SandboxToken | None, steps: list[Any]
) -> None:
    """In whatever order things are asked, and each of them twice; and what is taken is never untaken."""
    book = opened("sandbox_1", PaymentRequest(TENANT, ORDER, 1, 5_000, "USD", token, "charge-1"))
    for step in steps:
        before = book
        if isinstance(step, tuple):
            amount, key = step
            book = book.refunded(amount, key)
            assert book.refunded(amount, key) == book
            assert book.refunded(amount + 1, key) == book
        else:
            book = step(book)
            assert step(book) == book
        assert book.captured_minor in (0, book.amount_minor)
        assert (book.captured_minor > 0) == (book.state is PaymentState.CAPTURED)
        least = 0 if step is Book.refunds_failed else before.refunded_minor
        assert 0 <= least <= book.refunded_minor <= book.captured_minor
        paid = [refund.amount_minor for refund in book.refunds.values() if refund.failed is None]
        assert book.refunded_minor == sum(paid)
        assert before.captured_minor <= book.captured_minor
        assert Book.from_text(book.to_text()) == book
