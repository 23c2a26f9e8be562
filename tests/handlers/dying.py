"""Functions that die between two calls to AWS, whichever: DynamoDB's or the user pool's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from botocore.client import BaseClient

from holdfast.platform import user_pool
from tests.handlers.gateway import Answer

T = TypeVar("T")


class Death(BaseException):
    """The function's process ended, which nothing in it can catch."""


@contextmanager
def _met(meet: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Hand every call to AWS to `meet`, as that which makes it."""
    sdk: Any = BaseClient
    real, client = sdk._make_api_call, user_pool.client()

    class Pool:
        def __getattr__(self, name: str) -> Any:
            return lambda **arguments: meet(lambda: getattr(client, name)(**arguments))

    def call(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        return meet(lambda: real(self, operation, arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk, "_make_api_call", call)
        patch.setattr(user_pool, "client", Pool)
        yield


def die_everywhere(prepare: Callable[[], T], request: Callable[[T], Answer], check: Callable[[T, Answer], None]) -> int:
    """Let a request die before its first call to AWS, then between that and the second and so on, until it lives.

    Each time something new is prepared for it, and what is left of it is handed to `check` with the answer that the
    same request gets when it is made again. Returns how often it died.
    """
    for calls in range(1_000):
        subject = prepare()
        left = calls

        def meet(make: Callable[[], Any]) -> Any:
            nonlocal left
            if left == 0:
                raise Death
            left -= 1
            return make()

        with _met(meet):
            try:
                answer = request(subject)
            except Death:
                answer = None
        if answer is not None:
            check(subject, answer)
            return calls
        check(subject, request(subject))
    raise AssertionError("it never lives")
