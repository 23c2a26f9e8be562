"""The events room: tickets to events, counted or with numbered seats."""
