"""Values that a careless or a hostile client sends, and that no route may take."""

from typing import Any

ODD_QUANTITIES: list[Any] = [0, -1, -(10**18), 10_001, 10**30, True, False, 1.5, "1", None, [], {}]
ODD_USERS: list[Any] = ["", " ", "a b", "a/b", "-a", "a\n", "x" * 129, "é", "<script>", "a#b", True, None, -1, 1.5, {}]
ODD_PRODUCTS: list[Any] = [
    "",
    " ",
    "a-b",
    "1 ",
    "1\n",
    "x" * 41,
    "ü",
    "<script>",
    "1#2",
    True,
    None,
    -1,
    1.5,
    10**16,
    [],
]
