"""The budgets of the design, measured: counts wherever a count can tell, timings only as a ratio within one run."""
