"""Columns of data frames: what kinds of values they hold, and how each is given back as it came."""
