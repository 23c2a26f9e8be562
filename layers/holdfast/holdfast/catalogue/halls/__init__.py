"""The halls room: venues that are booked for stretches of time, exclusively."""
