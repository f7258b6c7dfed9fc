"""Forecasts of held-out sequences."""
