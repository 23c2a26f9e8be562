"""Claims: what can be taken, and the item changes that take, confirm and release it."""
