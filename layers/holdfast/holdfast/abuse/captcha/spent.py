"""Tokens that were used: each is good once, whatever its provider would say of it a second time."""

from secrets import token_hex

from pynamodb.attributes import UnicodeAttribute

from holdfast.platform.dynamodb import Put
from holdfast.platform.items import IntegerAttribute, Item
from holdfast.platform.tables import Keys

_KEPT_SECONDS = 86_400
"""Longer than any provider's token lives."""


class CaptchaItem(Item):
    """A token that was used, in one request: `spent_by` tells it from all others."""

    spent_by = UnicodeAttribute()
    ttl = IntegerAttribute()


def spend(tenant: str, token: str, now: int) -> Put:
    """Return the write that uses a token at `now` (ms), for the transaction of what it lets in.

    It may be made again by whoever made it, where an answer was lost (PROTOCOL.md 8), and by nobody else.
    """
    spent_by = token_hex(16)
    item = CaptchaItem(*Keys(tenant).captcha(token), spent_by=spent_by, ttl=now // 1000 + _KEPT_SECONDS)
    return Put(item, CaptchaItem.pk.does_not_exist() | (CaptchaItem.spent_by == spent_by))
