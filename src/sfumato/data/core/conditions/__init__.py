"""Conditions: named columns, the training rows of them that a schema keeps, and values as a caller gives them."""
