"""Numbers for people to read: products, events, venues, bookings are counted up, one counter a name."""

from holdfast.platform.dynamodb import Contended, Update, read
from holdfast.platform.errors import Busy
from holdfast.platform.items import CounterItem
from holdfast.platform.tables import Key
from holdfast.reservations.engine import Engine


def next_number(engine: Engine, key: Key) -> int:
    """Return the next number of the counter at `key`; where an answer was lost one is skipped, never given twice."""
    for attempt in engine.retries:
        try:
            return read(CounterItem, engine.store.write(Update(key, [CounterItem.last.add(1)]))).last
        except Contended:
            engine.retries.wait(attempt)
    raise Busy
