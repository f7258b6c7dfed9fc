"""Conditions that a user does not provide: filled in from the data, or inferred by the model."""
