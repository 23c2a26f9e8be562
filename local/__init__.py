"""Holdfast on one machine: its environment, its build, and an emulated AWS that the real template is deployed to."""
