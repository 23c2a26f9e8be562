"""Page tokens: where a list goes on, in a text that no client has to understand and none can bend.

A token is good for one scope only: one list of one tenant under one set of filters. What was altered on its way, or
comes from another list, is refused rather than read as some other place. The digest is no secret: whoever forges a
token for a list that they may read anyway only chooses another place in it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar

from holdfast.platform.errors import Fault, Malformed

T = TypeVar("T")

PATTERN = r"^[A-Za-z0-9_-]{1,200}$"
"""What every token matches."""

MOST_POSITION_BYTES = 140
"""What a position may take in UTF-8, so that its token keeps to the pattern."""

_DIGEST_BYTES = 10


def issue(scope: str, position: str) -> str:
    """Return the token for `position` in the list called `scope`: tenant, list and filters.

    Raises ValueError for a position of more than 140 bytes.
    """
    raw = position.encode()
    if len(raw) > MOST_POSITION_BYTES:
        raise ValueError("the position is too long for a token")
    key = blake2b(scope.encode()).digest()
    digest = blake2b(raw, key=key, digest_size=_DIGEST_BYTES).digest()
    return urlsafe_b64encode(digest + raw).decode().rstrip("=")


def read(scope: str, token: str, field: str = "next") -> str:
    """Return the position of a token that `issue` gave for the same scope.

    Raises Malformed, naming `field`, for any other text.
    """
    try:
        position = urlsafe_b64decode(token + "=" * (-len(token) % 4))[_DIGEST_BYTES:].decode()
        known = issue(scope, position)
    except ValueError:
        known = None
    if token != known:
        raise _refused(field)
    return position


def parsed(scope: str, token: str, parse: Callable[[str], T], field: str = "next") -> T:
    """Return what `parse` makes of a token's position.

    Raises Malformed as `read` does, and for a forged position: one that `parse` raises ValueError for.
    """
    position = read(scope, token, field)
    try:
        return parse(position)
    except ValueError as error:
        raise _refused(field) from error


def _refused(field: str) -> Malformed:
    return Malformed(faults=[Fault(field, "Not a token that this list gave.")])
