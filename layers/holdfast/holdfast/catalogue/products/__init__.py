"""The products room: limited stock on sale at a price."""
