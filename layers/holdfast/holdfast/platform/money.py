"""Money: whole minor units inside, decimals only at the edge, never floating point."""

from decimal import Decimal

from holdfast.platform.errors import Fault, Malformed

_EXPONENTS = {
    **dict.fromkeys(("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF").split(), 0),
    **dict.fromkeys(("BHD IQD JOD KWD LYD OMR TND").split(), 3),
}
"""Currencies whose minor unit is not a hundredth (ISO 4217)."""

CURRENCIES = frozenset(_EXPONENTS) | frozenset(
    (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
        "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR "
        "IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN "
        "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
        "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ).split()
)
"""The currencies that are paid in (ISO 4217, without funds and metals)."""

MOST_MINOR = 10**12
"""The highest price of one unit, in minor units; a thousand times that is still exact in a JSON number."""


def to_minor(amount: Decimal, currency: str) -> int:
    """Return a decimal amount in minor units; raises ValueError where it is negative, too high or finer than those."""
    if not amount.is_finite() or not 0 <= amount <= MOST_MINOR:
        raise ValueError("not an amount that can be charged")
    minor = amount.scaleb(places_of(currency))
    if minor != minor.to_integral_value() or minor > MOST_MINOR:
        raise ValueError(f"finer than {currency} has units for")
    return int(minor)


def price_of(amount: Decimal, currency: str, field: str) -> int:
    """Return a price that a client names, in minor units; raises Malformed, naming `field`, for what is none."""
    try:
        return to_minor(amount, currency)
    except ValueError as wrong:
        raise Malformed(faults=[Fault(field, f"Not a price in {currency}.", "invalid")]) from wrong


def share_of(minor: int, percent: int) -> int:
    """Return that share of an amount, in minor units, half a unit rounded up."""
    return (minor * percent + 50) // 100


def from_minor(minor: int, currency: str) -> Decimal:
    """Return minor units as the exact decimal amount, with as many places as the currency has."""
    return Decimal(minor).scaleb(-places_of(currency))


def places_of(currency: str) -> int:
    """Return how many decimal places the currency has (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)
