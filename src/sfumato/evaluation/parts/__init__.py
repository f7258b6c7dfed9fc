"""Measures of the parts of mixed records."""
