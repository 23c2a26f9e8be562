"""Phone numbers: what people write, brought to the one form (E.164) that people are known by."""

import re

WRITTEN = r"^[+0-9 ().-]{8,32}$"
"""What every phone number matches, however its digits are set apart."""

_HOME = "IN"
"""The country whose numbers are accepted as they are dialled at home."""

_SEPARATORS = re.compile(r"[ ().-]")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_AT_HOME = re.compile(r"0?[1-9][0-9]{9}")


def normalised(text: str) -> str:
    """Return a phone number in E.164, such as `+919876543210`.

    Indian numbers may come without country code: ten digits, or a 0 and ten digits; every other number needs its + and
    country code. Blanks, hyphens, points and brackets between the digits do not matter. Raises ValueError for what no
    numbering plan has.
    """
    digits = _SEPARATORS.sub("", text) if re.fullmatch(WRITTEN, text) else ""
    if not (_INTERNATIONAL.fullmatch(digits) or _AT_HOME.fullmatch(digits)):
        raise ValueError("not a phone number")
    # Half of a cold start's own time: only a request with a phone pays for it.
    import phonenumbers

    try:
        number = phonenumbers.parse(digits, _HOME)
    except phonenumbers.NumberParseException as wrong:
        raise ValueError("not a phone number") from wrong
    if not phonenumbers.is_valid_number(number):
        raise ValueError("not a phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
