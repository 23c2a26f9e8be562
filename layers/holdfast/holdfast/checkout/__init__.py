"""Orders: what was bought, by whom, for how much."""
