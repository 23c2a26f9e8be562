"""The cold start of a function: what it pays for nothing, left out.

A function on the hot path imports this module before any other, and calls `over` when everything is there.

- Whatever is imported stays, so looking for garbage among it finds nothing; and once frozen, later collections do not
  go through it either.
- Powertools' package of resolvers imports one for every kind of API that there is, and asyncio for some of them. Ours
  are REST APIs, so the package gives what that one module has, once asked; asking for another is an ImportError.
"""

import gc
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

gc.disable()

_RESOLVERS = "aws_lambda_powertools.event_handler"
_REST = frozenset({"APIGatewayRestResolver", "ApiGatewayResolver", "Response"})


def over() -> None:
    """Look for garbage again from here on, among what requests leave."""
    gc.freeze()
    gc.enable()


def _resolver(name: str) -> Any:
    if name not in _REST:
        raise AttributeError(f"{_RESOLVERS} is cut down to REST APIs, and has no {name} here")
    return getattr(import_module(f"{_RESOLVERS}.api_gateway"), name)


def _cut_down() -> None:
    spec = find_spec(_RESOLVERS)
    assert spec is not None
    package = sys.modules[_RESOLVERS] = module_from_spec(spec)
    vars(package)["__getattr__"] = _resolver


if _RESOLVERS not in sys.modules:
    _cut_down()
