"""A provider's server as a script: what it answers, one after the other, and what it was asked."""

from typing import Any
from urllib.parse import parse_qsl

import httpx

from holdfast.checkout.payments.port import Payment, PaymentRequest, PaymentState

ORDER = "o-abcdefghijklmnop-0123456789abcdef0123456789abcdef"
TENANT = "demo"

Answer = tuple[int, Any] | type[httpx.TransportError]


class Script(httpx.MockTransport):
    """Answers with what stands in the script, in order; a type of fault is raised. `asked` are the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[httpx.Request] = []
        self._left = list(answers)
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self._left.pop(0)
        if isinstance(answer, type):
            raise answer("as in the script", request=request)
        status, body = answer
        if isinstance(body, bytes):
            return httpx.Response(status, content=body)
        return httpx.Response(status, json=body)

    @property
    def calls(self) -> list[str]:
        """What was asked for, as methods and paths."""
        return [f"{request.method} {request.url.path}" for request in self.asked]

    def form(self, number: int = 0) -> dict[str, str]:
        """The form that was sent with a request."""
        return dict(parse_qsl(self.asked[number].content.decode(), keep_blank_values=True))


def request(
    token: str | None = None, amount: int = 5_000, currency: str = "USD", attempt: int = 1, key: str = "charge-1"
) -> PaymentRequest:
    """A wish to be paid for the order that all tests are about."""
    return PaymentRequest(TENANT, ORDER, attempt, amount, currency, token, key)


def payment(payment_id: str, state: PaymentState = PaymentState.AUTHORISED, **more: Any) -> Payment:
    """A payment for that order."""
    return Payment(**{"id": payment_id, "state": state, "amount_minor": 5_000, "currency": "USD", **more})
