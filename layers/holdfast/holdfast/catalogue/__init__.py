"""The catalogue: one room for each kind of thing that can be sold. Rooms never import one another."""
