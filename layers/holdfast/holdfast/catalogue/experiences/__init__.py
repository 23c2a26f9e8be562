"""The experiences room: what partners offer, slot by slot, and how it is sold."""
