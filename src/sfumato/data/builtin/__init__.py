"""Data sets that come built in."""
