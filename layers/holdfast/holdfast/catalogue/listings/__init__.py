"""The listings room: tickets that people resell to one another, each of which exists once."""
