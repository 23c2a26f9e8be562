"""Holdfast: holds, sells and gives back scarce things, each exactly once."""
