"""Captchas: proof of a person at the other end, asked for where a tenant wants it."""
