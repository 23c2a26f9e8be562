"""The second factor: codes of an authenticator (TOTP, RFC 6238), for those who want to be asked for them.

That a secret is confirmed, or codes are asked for no more, is the user pool's alone.
"""

from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from holdfast.identity import people
from holdfast.identity.accounts import Accounts


@dataclass(frozen=True)
class Secret:
    """What an authenticator makes its codes of, in base 32, and as the text of the QR code that it reads."""

    text: str = field(repr=False)
    uri: str = field(repr=False)


def begin(accounts: Accounts, tenant: str, user_id: str, access_token: str, issuer: str) -> Secret:
    """Return a new secret, for an authenticator to show it under the name of `issuer`.

    Sign-ins go on as before until it is confirmed; one that was never confirmed is replaced. Raises Unauthorized,
    UserNotFound, Busy and Unavailable.
    """
    person = people.find(accounts.directory, tenant, user_id)
    text = accounts.pool.begin_totp(access_token)
    label = quote(f"{issuer}:{person.email}", safe="")
    return Secret(text, f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': issuer}, quote_via=quote)}")
