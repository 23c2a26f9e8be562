"""Who is calling: service keys, and the caller they stand for."""
