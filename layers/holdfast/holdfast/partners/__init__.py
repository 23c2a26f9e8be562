"""Partners: whose inventory is synchronised, how they are asked, and when."""
