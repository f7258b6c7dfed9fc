"""Vectors: rows of numbers without names."""
