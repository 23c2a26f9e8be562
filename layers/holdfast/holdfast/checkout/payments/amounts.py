"""How payment providers count money: in units of their own where those are not ours."""

from collections.abc import Mapping

from holdfast.platform.money import places_of

_THOUSANDTHS = 3


class Amounts:
    """A provider's units. Cards are charged in hundredths even of currencies with thousandths: the last digit is 0."""

    def __init__(self, places: Mapping[str, int] | None = None) -> None:
        """Take how many decimal places the provider counts currencies in, where not as many as we do."""
        self._given = places or {}

    def sent(self, minor: int, currency: str) -> int | None:
        """Return our minor units as the provider's; None for an amount that it cannot charge."""
        places = self._places(currency)
        amount = _shifted(minor, places - places_of(currency))
        return None if amount is None or (places == _THOUSANDTHS and amount % 10) else amount

    def ours(self, amount: int, currency: str) -> int:
        """Return the provider's units as our minor units; raises ValueError for what is finer than those."""
        minor = _shifted(amount, places_of(currency) - self._places(currency))
        if minor is None:
            raise ValueError(f"finer than {currency} has units for")
        return minor

    def _places(self, currency: str) -> int:
        return self._given.get(currency, places_of(currency))


def _shifted(amount: int, places: int) -> int | None:
    """Return the amount in units so many decimal places finer; None where it is no whole number of them."""
    finer, coarser = int(10 ** max(places, 0)), int(10 ** max(-places, 0))
    whole, rest = divmod(amount * finer, coarser)
    return None if rest else whole
