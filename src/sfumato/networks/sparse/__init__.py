"""Networks of the sparse models."""
