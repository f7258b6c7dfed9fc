"""Distributions of codes alone: mixtures that are learned, and codes with exact zeros."""
