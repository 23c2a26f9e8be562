"""The gate that a request passes before it takes anything: what it finds good is kept in the same transaction.

A gate may ask somebody outside (a captcha's provider), so it is passed once a request, and only by one that is no
replay: what was answered before is answered again without it (PROTOCOL.md 3).
"""

from collections.abc import Callable, Sequence

from holdfast.platform.dynamodb import Write

Gate = Callable[[], Sequence[Write]]
"""Returns the writes that keep what let the request pass from being used twice; raises what refuses it."""


def open_gate() -> Sequence[Write]:
    """Let everybody pass."""
    return ()
