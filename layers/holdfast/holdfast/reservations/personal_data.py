"""What is kept of a user besides reservations: what limits count."""

from holdfast.platform.tables import Keys
from holdfast.reservations.engine import Engine


def counted_of(engine: Engine, tenant: str, user: str) -> dict[str, int]:
    """Return what limits count of a user, by the names of the counters."""
    raw = engine.store.get_raw(Keys(tenant).limits(user)) or {}
    return {name: int(value["N"]) for name, value in sorted(raw.items()) if "N" in value}
