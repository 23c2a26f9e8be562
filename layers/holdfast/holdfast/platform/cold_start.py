"""The cold start of a function: whatever is imported stays, so looking for garbage among it finds nothing.

A function imports this module before any other, and calls `over` when everything is there. Collections during the
imports are a tenth of a cold start's work; frozen, what was imported is not gone through by later ones either.
"""

import gc

gc.disable()


def over() -> None:
    """Look for garbage again from here on, among what requests leave."""
    gc.freeze()
    gc.enable()
