"""Bounds on log p(x), and how they are estimated."""
